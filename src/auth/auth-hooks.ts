/**
 * What Better Auth 1.7.7 gets wrong and its hooks can put right, and who a request turned out to be.
 */
import type { BetterAuthOptions } from 'better-auth'
import { APIError, createAuthMiddleware } from 'better-auth/api'
import { staysShort } from '../session/sliding-expiry.js'
import { currentHandling } from './handling.js'

/** Ids are fixed at birth. 1.7.7 lets an administrator set them: another user's rows would change hands. */
const TAKES_USER_DATA = new Set(['/admin/update-user', '/admin/create-user'])

export const refuseIds = createAuthMiddleware(async ({ path, body }) => {
  if (TAKES_USER_DATA.has(path) && hasOwnId(body?.data)) {
    throw new APIError('BAD_REQUEST', { code: 'USER_ID_CANNOT_BE_UPDATED', message: 'User ids cannot be set.' })
  }
})

function hasOwnId(data: unknown): boolean {
  return typeof data === 'object' && data !== null && Object.hasOwn(data, 'id')
}

export const noteUser = createAuthMiddleware(async ({ context }) => {
  const handling = currentHandling()
  const userId = (context.newSession ?? context.session)?.user.id
  if (handling !== undefined && userId !== undefined) handling.userId = userId
})

/** Called before each row of every delete, single or not, of Better Auth and its plugins. */
export async function noteEnding({ token }: { readonly token: string }): Promise<void> {
  currentHandling()?.ending.add(token)
}

/**
 * "Do not renew" lives in a cookie that bearer clients never send, so Better Auth turns an impersonation of
 * one hour or a session without "remember me" into one of a week. Born short, a session stays short.
 */
export function keepShortSessionsShort(expiresInSeconds: number): SessionUpdateHook {
  return async (update, context) => {
    const row: Partial<RenewableSession> | undefined = context?.context.session?.session
    if (update.expiresAt === undefined || row?.expiresAt === undefined || row.createdAt === undefined) return
    const life = { createdAt: row.createdAt.getTime(), expiresAt: row.expiresAt.getTime() }
    const short = staysShort({ ...life, impersonated: Boolean(row.impersonatedBy) }, expiresInSeconds * 1000)
    if (short) return { data: { expiresAt: row.expiresAt } }
  }
}

interface RenewableSession {
  expiresAt: Date
  createdAt: Date
  impersonatedBy: string | null
}

type SessionUpdateHook = NonNullable<
  NonNullable<NonNullable<NonNullable<BetterAuthOptions['databaseHooks']>['session']>['update']>['before']
>
