/** What Redis says of its data, one text beside them: `database|epoch|nonce|beats|cursor` (session-scripts.ts). */
import { PREFIX } from './session-scripts.js'
import { isSnapshot } from './snapshot.js'

export const STATE_KEY = `${PREFIX}state2`
const STATE = /^([^|]*)\|(\d+)\|([^|]*)\|(\d+)\|(.*)$/

/** How current the data in Redis is. `cursor`: every event that this snapshot sees is applied in it. */
export interface CacheState {
  /** Of the server it was read from; what follows from it is done there or not at all. */
  readonly run: string
  readonly text: string
  readonly database: string
  readonly epoch: string
  readonly nonce: string
  readonly beats: number
  readonly cursor: string
}

/**
 * Of a text that says nothing, another format's too, every part is empty: it is no database's, so all begins anew. So
 * it is with a cursor that PostgreSQL would refuse: every poll would fail with it.
 */
export function parseState(run: string, text: string): CacheState {
  const written = STATE.exec(text) ?? []
  const said = isSnapshot(written[5] ?? '') ? written : []
  const [, database = '', epoch = '', nonce = '', beats = '', cursor = ''] = said
  return { run, text, database, epoch, nonce, beats: Number(beats), cursor }
}
