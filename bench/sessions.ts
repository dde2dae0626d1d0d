/** Ten thousand people who are signed in: the same on every run, with cookies signed as Better Auth signs them. */
import { createHash, createHmac } from 'node:crypto'

export const SECRET = 'a-secret-of-the-benchmark-and-of-nothing-else'
/** Not the one the cookies are checked with. */
export const OTHER_SECRET = 'some-other-secret-of-the-same-length-or-so'
export const COOKIE_NAME = 'better-auth.session_token'

const COUNT = 10_000
const IN_ROTATION = 1_000
/** Of the sessions, and of the requests that are not theirs. */
const BUSY = 0.2
const DRAWS = 50_000
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

/**
 * Who asks, and in which order: a thousand in turn; all of them, a fifth making four fifths of the requests; or the
 * thousand with cookies that somebody else signed.
 */
export type Traffic = 'rotation' | 'eighty-twenty' | 'forged'

export function sessionsOf(traffic: Traffic, sessions: readonly SeededSession[]): readonly SeededSession[] {
  const rotation = sessions.slice(0, IN_ROTATION)
  if (traffic === 'rotation') return rotation
  if (traffic === 'forged') return rotation.map(each => ({ ...each, cookie: cookieOf(each.token, OTHER_SECRET) }))
  const busy = Math.floor(BUSY * sessions.length)
  const random = numbers()
  return Array.from({ length: DRAWS }, () => {
    const fromBusy = random() >= BUSY
    const index = fromBusy ? random() * busy : busy + random() * (sessions.length - busy)
    return sessions[Math.floor(index)] as SeededSession
  })
}

/** Mulberry32: the same numbers on every run. */
function numbers(): () => number {
  let state = 20_261_121
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** `secret` is `OTHER_SECRET` for a forged one. */
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
