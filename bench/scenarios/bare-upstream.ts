import type { Scenario } from './scenario.js'

/** The ceiling: what generator and upstream manage on the cores they share. */
export const bareUpstream: Scenario = {
  name: 'bare-upstream',
  what: 'no gate at all: generator and upstream alone',
  path: '/orders/7',
  guarded: false,
  source: null,
  onlyInFull: true,
  open: async ({ upstream }) => ({ origin: upstream.url, pids: [], lookups: null, tidy: async () => undefined })
}
