/**
 * Why a session or a user changed, as far as the database can know. A gateway says so in a comment at the end of its
 * statement, with the words of the auth events (sign_out, revoke, password_reset …). Of everybody else's statements
 * only what they changed is known. For the log and the metrics; nothing is decided by it.
 */
import type { CatalogColumn } from '../src/data/auth-catalog.js'
import type { AuthTable } from '../src/data/auth-shape.js'
import { ident } from '../src/data/sql-text.js'

/** To be put at the end of a statement. `cause`: at most 40 of a-z and '_'. */
export function causeMark(cause: string): string {
  return ` /* cause ${cause} */`
}

/**
 * Null unless the statement is a gateway's and marked. Only asked where the client says that it is a gateway:
 * current_query() copies the whole text for every row, and others delete a hundred thousand rows by one long list.
 */
const MARKED = `CASE WHEN current_setting('application_name') LIKE 'session-gateway%'
    THEN substring(right(current_query(), 64) FROM '/[*] cause ([a-z_]{1,40}) [*]/$') END`

/** In the trigger of DELETE and UPDATE on the session table. */
export function sessionCause(session: AuthTable): string {
  const [token, expires] = [columnName(session, 'token'), columnName(session, 'expiresAt')]
  return `coalesce(${MARKED}, CASE
    WHEN TG_OP = 'DELETE' THEN 'deleted'
    WHEN NEW.${token} IS DISTINCT FROM OLD.${token} THEN 'renewal'
    WHEN NEW.${expires} < OLD.${expires} THEN 'expiry'
    ELSE 'session_update' END)`
}

/** In the trigger of DELETE and UPDATE on the user table. */
export function userCause(user: AuthTable): string {
  const changed = (field: string): string =>
    user.columns[field] === undefined
      ? 'false'
      : `NEW.${columnName(user, field)} IS DISTINCT FROM OLD.${columnName(user, field)}`
  const lifted = user.columns.banned === undefined ? 'false' : `NEW.${columnName(user, 'banned')} IS NOT TRUE`
  return `coalesce(${MARKED}, CASE
    WHEN TG_OP = 'DELETE' THEN 'user_delete'
    WHEN ${changed('banned')} AND ${lifted} THEN 'unban'
    WHEN ${changed('banned')} OR ${changed('banExpires')} THEN 'ban'
    WHEN ${changed('role')} THEN 'role_change'
    ELSE 'user_update' END)`
}

/** In the trigger on the member table. */
export const MEMBER_CAUSE = `coalesce(${MARKED}, 'organization')`

export function columnName(table: AuthTable, field: string): string {
  return ident((table.columns[field] as CatalogColumn).name)
}
