/**
 * `doctor`: does a NOTIFY sent over DATABASE_URL arrive at DATABASE_DIRECT_URL? Through a transaction pooler none does.
 */
import type { Sql } from 'postgres'
import { REVOCATION_CHANNEL } from '../../schema/revocation-functions.js'
import { Listener, type ListenerState } from '../data/listener.js'
import { createListenClient } from '../data/postgres.js'
import { type Diagnosis, ok, warn, within } from './diagnosis.js'

/** A connection, LISTEN, and a second for the word to itself. */
const DEADLINE_MS = 5_000

export async function examineListener(sql: Sql, directUrl: string): Promise<Diagnosis> {
  let tell: (state: ListenerState) => void = ignore
  const first = new Promise<ListenerState>(resolve => {
    tell = resolve
  })
  const listener = new Listener({
    connect: () => createListenClient(directUrl),
    notify: (channel, payload) => sql`select pg_notify(${channel}, ${payload})`,
    channels: [REVOCATION_CHANNEL],
    onMessage: ignore,
    onChange: tell
  })
  listener.start()
  try {
    return diagnosisOf(await within(DEADLINE_MS, first))
  } catch {
    return diagnosisOf('away')
  } finally {
    await listener.stop()
  }
}

function ignore(): void {}

function diagnosisOf(state: ListenerState): Diagnosis {
  if (state === 'hears')
    return ok('listener', 'NOTIFY arrives: changes made elsewhere are in force within milliseconds')
  const why =
    state === 'deaf'
      ? 'LISTEN is accepted and nothing arrives, as behind a transaction pooler'
      : 'LISTEN is not possible over DATABASE_DIRECT_URL'
  return warn(
    'listener',
    `${why}. Changes made elsewhere are polled for twice a second instead.`,
    'DATABASE_DIRECT_URL=postgres://...   # PostgreSQL itself, not its pooler'
  )
}
