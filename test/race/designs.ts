/** What is raced: two gateways as processes of their own, or the cache that everybody writes first. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { type Dispatcher, Pool } from 'undici'
import { hashToken } from '../../src/session/session.js'
import { BASE_URL, type GatewayPair } from '../support/gateway-pair.js'
import type { Design } from './race.js'

type Scope = { teardown: (fn: () => unknown) => unknown }

const CONNECTIONS = 32
/** How long a busy process takes from its read to its fill, at most, in ms. */
const FILL_DELAY = 4

export function gatewayDesign(t: Scope, { a, b, redis }: GatewayPair): Design {
  const pools = [a, b].map(({ port }) => new Pool(`http://127.0.0.1:${port}`, { connections: CONNECTIONS }))
  const evictor = new Redis(redis.url)
  t.teardown(() => Promise.all([...pools.map(pool => pool.close()), evictor.quit()]))

  async function status(node: number, request: Dispatcher.RequestOptions): Promise<number> {
    const pool = pools[node]
    if (pool === undefined) throw new RangeError(`no node ${node}`)
    const { statusCode, body } = await pool.request(request)
    // The answer counts from its first byte; what follows is read without waiting for it.
    void body.dump()
    return statusCode
  }

  return {
    async accepts(node, { cookie }) {
      const answer = await status(node, { method: 'GET', path: '/api/a/race', headers: { cookie } })
      // A machine that stands still for a second makes a 503, which lets nobody in.
      if (answer !== 200 && answer !== 401 && answer !== 503) throw new Error(`a request was answered with ${answer}`)
      return answer === 200
    },
    async signOut(node, { cookie }) {
      const headers = { cookie, origin: BASE_URL, 'content-type': 'application/json' }
      return (await status(node, { method: 'POST', path: '/api/auth/sign-out', headers, body: '{}' })) === 200
    },
    evict: ({ token }) => evictor.del(`{sg}:s:${hashToken(token)}`)
  }
}

const keyOf = (token: string) => `naive:${hashToken(token)}`

/** COMMIT, DEL; a miss reads the row and stores it. On the same servers, in two nodes of this process. */
export function naiveDesign(t: Scope, { redis, sql }: GatewayPair): Design {
  const nodes = [new Redis(redis.url), new Redis(redis.url)]
  t.teardown(() => Promise.all(nodes.map(node => node.quit())))
  const redisOf = (node: number) => {
    const client = nodes[node]
    if (client === undefined) throw new RangeError(`no node ${node}`)
    return client
  }

  return {
    async accepts(node, { token }) {
      const client = redisOf(node)
      if ((await client.get(keyOf(token))) !== null) return true
      const [row] = await sql`
        select s.id from auth.session s join auth."user" u on u.id = s.user_id
         where s.token = ${token} and s.expires_at > now()`
      await sleep(Math.random() * FILL_DELAY)
      if (row !== undefined) await client.set(keyOf(token), JSON.stringify(row), 'EX', 300)
      return row !== undefined
    },
    async signOut(node, { token }) {
      await sql`delete from auth.session where token = ${token}`
      await redisOf(node).del(keyOf(token))
      return true
    },
    evict: ({ token }) => redisOf(0).del(keyOf(token))
  }
}
