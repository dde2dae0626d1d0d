/** Many callers at once on few connections: nobody is ever taken for somebody else (D33). */
import t from 'tap'
import { person, startAttack } from '../support/attack.js'
import { SECRET } from '../support/gateway.js'
import { RawConnection } from '../support/raw-http.js'
import { signToken } from '../../src/session/credential.js'

const CONNECTIONS = 10
const PER_CONNECTION = 120

const { gateway, user, admin } = await startAttack(t)
const HOST = `Host: localhost:${gateway.port}`

interface Caller {
  readonly lines: readonly string[]
  /** What the upstream must read in X-User-ID; null: it must never hear of the request. */
  readonly id: string | null
}

t.test(
  'twelve hundred requests of six callers, pipelined, cached and strict, each as its own caller (D33)',
  async t => {
    const more = await Promise.all([person(gateway), person(gateway)])
    const unknown = encodeURIComponent(signToken('0123456789abcdef0123456789abcdef', SECRET))
    const callers: Caller[] = [
      ...[user, admin, ...more].map(({ cookieLine, id }) => ({ lines: [cookieLine], id })),
      { lines: [`Authorization: Bearer ${admin.bearer}`], id: admin.id },
      { lines: [], id: null },
      { lines: [`Cookie: better-auth.session_token=${unknown}`], id: null },
      { lines: ['Cookie: better-auth.session_token=a.b', `Authorization: Bearer ${admin.bearer}`], id: null }
    ]
    const before = gateway.upstream.received.length
    const wrong = await Promise.all(Array.from({ length: CONNECTIONS }, (_, i) => conversation(i, callers)))

    t.strictSame(wrong.flat(), [], 'answers that are not those of their request')
    const received = gateway.upstream.received.slice(before)
    for (const { url, headers } of received) {
      const caller = callers[Number(url.split('/').at(-1))]
      if (caller?.id == null || headers['x-user-id'] !== caller.id) t.fail(`${url} arrived as ${headers['x-user-id']}`)
    }
    t.ok(received.length > (CONNECTIONS * PER_CONNECTION) / 3, `${received.length} arrived`)
  }
)

/** Sends everything at once and reads the answers in order. Gives back what did not fit. */
async function conversation(seed: number, callers: readonly Caller[]): Promise<string[]> {
  const connection = await RawConnection.open(gateway.port)
  const turns = Array.from({ length: PER_CONNECTION }, (_, n) => ({
    // A step that shares no divisor with the number of callers: every connection meets them in another order.
    at: (seed + n * 3 + Math.floor(n / 8)) % callers.length,
    area: ['a', 'strict', 'b'][(seed + n) % 3] ?? 'a',
    n
  }))
  const requests = turns.map(({ at, area, n }) =>
    [`GET /api/${area}/${seed}/${n}/${at} HTTP/1.1`, HOST, ...(callers[at]?.lines ?? []), '', ''].join('\r\n')
  )
  void connection.send(requests.join(''))
  const wrong: string[] = []
  for (const { at, n } of turns) {
    const { status, body } = await connection.answer()
    const id = callers[at]?.id ?? null
    const text = body.toString()
    const fits =
      id === null ? status === 401 : status === 200 && text.includes(`/${seed}/${n}/${at}"`) && text.includes(id)
    if (!fits) wrong.push(`${seed}/${n}/${at}: ${status} ${text}`)
  }
  connection.destroy()
  return wrong
}
