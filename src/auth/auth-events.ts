/** Which requests are auth events, for the log and the metrics (R87, contract section 8). */

export interface AuthEvent {
  readonly event: string
  readonly outcome: 'success' | 'failure' | 'limited' | 'unavailable'
  /** Whose session it was or became; null when nobody is known. */
  readonly userId: string | null
  /** The user an administrator acted on. */
  readonly targetUserId?: string
  readonly requestId: string
  readonly ip: string
}

const BY_ENDPOINT: Readonly<Record<string, string>> = {
  '/sign-out': 'auth.sign_out',
  '/revoke-session': 'auth.revoke',
  '/revoke-sessions': 'auth.revoke',
  '/revoke-other-sessions': 'auth.revoke',
  '/admin/revoke-user-session': 'auth.revoke',
  '/admin/revoke-user-sessions': 'auth.revoke',
  '/admin/ban-user': 'auth.ban',
  '/admin/unban-user': 'auth.unban',
  '/admin/set-role': 'auth.role_change',
  '/admin/create-user': 'auth.user_create',
  '/admin/update-user': 'auth.user_update',
  '/admin/remove-user': 'auth.user_delete',
  '/admin/set-user-password': 'auth.password_change',
  '/admin/impersonate-user': 'auth.impersonate',
  '/admin/stop-impersonating': 'auth.impersonate_end',
  '/change-password': 'auth.password_change',
  '/request-password-reset': 'auth.password_reset_request',
  '/forget-password': 'auth.password_reset_request',
  '/reset-password': 'auth.password_reset',
  '/send-verification-email': 'auth.verification_request',
  '/verify-email': 'auth.email_verified',
  '/update-user': 'auth.user_update',
  '/delete-user': 'auth.user_delete',
  '/link-social': 'auth.account_link',
  '/unlink-account': 'auth.account_unlink'
}

const BELOW: readonly (readonly [string, string])[] = [
  ['/sign-in/', 'auth.sign_in'],
  ['/sign-up/', 'auth.sign_up'],
  ['/callback/', 'auth.sign_in'],
  ['/two-factor/', 'auth.two_factor'],
  ['/organization/', 'auth.organization']
]

/** Null: reading one's own session and the like is no event. */
export function eventOf(method: string, endpoint: string): string | null {
  const changes = method === 'POST' || endpoint === '/verify-email' || endpoint.startsWith('/callback/')
  if (!changes) return null
  return BY_ENDPOINT[endpoint] ?? BELOW.find(([prefix]) => endpoint.startsWith(prefix))?.[1] ?? null
}

/** `location`: a browser that followed a link is told of its failure by a redirect. */
export function outcomeOf(status: number, location = ''): AuthEvent['outcome'] {
  if (status < 400) return /[?&]error=/.test(location) ? 'failure' : 'success'
  if (status === 429) return 'limited'
  return status >= 500 ? 'unavailable' : 'failure'
}
