/** Which changes of which tables run which function of `revocation-functions.ts` and `rotation-sql.ts`. */
import type { AuthShape } from '../src/data/auth-shape.js'
import { rotationTriggers } from './rotation-sql.js'
import { rowTrigger, statementTrigger, type Trigger } from './trigger.js'

/** By name, in the order they are made. */
export function triggersOf(shape: AuthShape): Trigger[] {
  const { user, session, member } = shape.tables
  const triggers = [
    rowTrigger(shape, session, 'gateway_session_deleted', ['DELETE'], 'gateway_session_changed'),
    rowTrigger(shape, session, 'gateway_session_updated', ['UPDATE'], 'gateway_session_changed'),
    rowTrigger(shape, user, 'gateway_user_deleted', ['DELETE'], 'gateway_user_changed'),
    rowTrigger(shape, user, 'gateway_user_updated', ['UPDATE'], 'gateway_user_changed')
  ]
  if (member !== undefined) {
    const changes = ['INSERT', 'UPDATE', 'DELETE'] as const
    triggers.push(rowTrigger(shape, member, 'gateway_member_changed', changes, 'gateway_member_changed'))
  }
  for (const table of [session, user, member]) {
    if (table === undefined) continue
    triggers.push(statementTrigger(shape, table, 'gateway_truncated', 'TRUNCATE', 'gateway_truncated'))
  }
  return [...triggers, ...rotationTriggers(shape)]
}
