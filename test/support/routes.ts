import type { RouteConfig } from '../../src/config/gateway-file.js'

/** A session route to 'echo', named after its path unless told otherwise. */
export function aRoute(path: string, overrides: Partial<RouteConfig> = {}): RouteConfig {
  return {
    name: path,
    path,
    methods: null,
    host: null,
    upstream: 'echo',
    stripPrefix: null,
    access: 'session',
    consistency: 'cached',
    originCheck: true,
    redirectToPortal: false,
    rateLimit: null,
    ...overrides
  }
}
