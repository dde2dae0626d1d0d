/** A thousand people who are signed in: the same on every run, with cookies signed as Better Auth signs them. */
import { createHash, createHmac } from 'node:crypto'

export const SECRET = 'a-secret-of-the-benchmark-and-of-nothing-else'
export const COOKIE_NAME = 'better-auth.session_token'

const COUNT = 1_000
const ID_LENGTH = 32

export interface SeededSession {
  readonly id: string
  readonly token: string
  readonly userId: string
  readonly email: string
  /** The whole Cookie header. */
  readonly cookie: string
}

export function seededSessions(): SeededSession[] {
  return Array.from({ length: COUNT }, (_, index) => {
    const token = idFrom(`token ${index}`)
    return {
      id: idFrom(`session ${index}`),
      token,
      userId: idFrom(`user ${index}`),
      email: `user-${index}@bench.example`,
      cookie: cookieOf(token, SECRET)
    }
  })
}

/** `secret` differs from `SECRET` for a forged one. */
export function cookieOf(token: string, secret: string): string {
  const signature = createHmac('sha256', secret).update(token).digest('base64')
  return `${COOKIE_NAME}=${encodeURIComponent(`${token}.${signature}`)}`
}

/** 32 letters and digits, as Better Auth makes its ids and tokens. */
function idFrom(text: string): string {
  return createHash('sha256')
    .update(text)
    .digest('base64')
    .replace(/[^a-zA-Z0-9]/g, '')
    .slice(0, ID_LENGTH)
}
