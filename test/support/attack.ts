/**
 * A whole gateway under attack: what goes in is bytes, what counts is the answer and what the upstream saw.
 *
 *   const { send, user } = await startAttack(t)
 *   refused(t, await send('GET /api/a/../b/x', [user.cookieLine]), 400, 'BAD_PATH')
 */
import type { Test } from 'tap'
import { type GatewayOptions, signUp, startGateway, type TestGateway, type TestUser } from './gateway.js'
import { exchange, type RawAnswer } from './raw-http.js'
import type { ReceivedRequest } from './upstream.js'

export interface Outcome {
  readonly status: number
  /** Of the error body. */
  readonly code: string | undefined
  readonly answer: RawAnswer
  /** Requests that reached the upstream meanwhile. */
  readonly reached: readonly ReceivedRequest[]
}

export interface Person extends TestUser {
  /** `Cookie: …`, ready to be sent. */
  readonly cookieLine: string
}

export interface Attack {
  readonly gateway: TestGateway
  readonly user: Person
  readonly admin: Person
  /** `METHOD target`, header lines, body. Host is the gateway's unless a line says otherwise. */
  readonly send: (request: string, lines?: readonly string[], body?: string) => Promise<Outcome>
  readonly sendBytes: (bytes: string) => Promise<Outcome>
}

type Scope = { teardown: (fn: () => unknown) => unknown }

export async function startAttack(t: Scope, options: GatewayOptions = {}): Promise<Attack> {
  const gateway = await startGateway(t, options)
  const [user, admin] = await Promise.all([person(gateway), person(gateway, 'admin')])

  async function sendBytes(bytes: string): Promise<Outcome> {
    const before = gateway.upstream.received.length
    const [answer] = await exchange(gateway.port, bytes, [bytes.startsWith('HEAD') ? 'HEAD' : 'GET'])
    const reached = gateway.upstream.received.slice(before)
    return { status: answer.status, code: errorOf(answer)?.code, answer, reached }
  }

  return {
    gateway,
    user,
    admin,
    sendBytes,
    send: (request, lines = [], body = '') => {
      const host = lines.some(line => /^host:/i.test(line)) ? [] : [`Host: localhost:${gateway.port}`]
      return sendBytes([`${request} HTTP/1.1`, ...host, ...lines, '', body].join('\r\n'))
    }
  }
}

export async function person(gateway: TestGateway, role?: string): Promise<Person> {
  const user = await signUp(gateway, role)
  return { ...user, cookieLine: `Cookie: ${user.cookie}` }
}

interface ErrorBody {
  readonly code?: string
  readonly message?: string
  readonly requestId?: string
}

function errorOf({ body }: RawAnswer): ErrorBody | null {
  try {
    return JSON.parse(body.toString()) as ErrorBody
  } catch {
    return null
  }
}

/** The refusal is the contract's (section 6), to the letter, and the upstream heard nothing. */
export function refused(t: Test, outcome: Outcome, status: number, code: string, message = ''): void {
  const { answer } = outcome
  const body = errorOf(answer)
  const [text, requestId] = [body?.message, answer.header('x-request-id')]
  t.equal(answer.status, status, `${message}: status`)
  t.strictSame(body, { success: false, code, error: text, message: text, requestId }, `${message}: body`)
  t.match(requestId, /^[\w-]{8,64}$/, `${message}: request id`)
  t.equal(answer.header('cache-control'), 'no-store', `${message}: not stored`)
  t.equal(outcome.reached.length, 0, `${message}: upstream untouched`)
}

/** Values of a header as a server behind CGI or WSGI would find them: every sign in a name is the same to it. */
export function valuesOf({ rawHeaders }: ReceivedRequest, name: string): string[] {
  return rawHeaders.filter((_, i) => i % 2 === 1 && loose(rawHeaders[i - 1] ?? '') === loose(name))
}

function loose(name: string): string {
  return name.toUpperCase().replaceAll(/[^A-Z0-9]/g, '_')
}
