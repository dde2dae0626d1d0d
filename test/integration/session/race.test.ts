/**
 * Readers on two nodes against one sign-out, on real PostgreSQL and Redis, with up to 4 ms between a reader's read
 * and its fill: is a session ever accepted after the sign-out was answered? The same harness drives the cache that
 * everybody writes first (COMMIT, DEL), and must catch it; otherwise the zero would mean nothing (D02).
 */
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { hashToken } from '../../../src/session/session.js'
import { startSessionStack, type TestGateway } from '../../support/session-stack.js'

const SESSIONS = 300
const AT_ONCE = 10
const READS = 6

interface Design {
  readonly accepts: (node: TestGateway, token: string) => Promise<boolean>
  /** Resolves when the answer to the client may leave. */
  readonly signOut: (node: TestGateway, token: string) => Promise<void>
  readonly entry: (token: string) => string
}

const upTo = (ms: number) => sleep(Math.random() * ms)

const naive: Design = {
  entry: token => `naive:${hashToken(token)}`,
  async accepts(node, token) {
    const redis = node.link.client
    if ((await redis.get(naive.entry(token))) !== null) return true
    const { session } = await node.resolver.resolve(token, true)
    await upTo(4)
    if (session !== null) await redis.set(naive.entry(token), JSON.stringify(session), 'EX', 300)
    return session !== null
  },
  async signOut(node, token) {
    await node.store.deleteByToken(token)
    await node.link.client.del(naive.entry(token))
  }
}

const ours: Design = {
  entry: token => `{sg}:s:${hashToken(token)}`,
  accepts: async (node, token) => (await node.resolver.resolve(token, false)).session !== null,
  async signOut(node, token) {
    await node.store.deleteByToken(token)
    await node.feed.settle()
  }
}

/** A fill takes as long to leave as a busy process lets it. */
function slowFills({ cache }: TestGateway): void {
  const fill = cache.fill.bind(cache)
  cache.fill = async (...args) => {
    await upTo(4)
    return fill(...args)
  }
}

t.test('of 300 sessions', async t => {
  const stack = await startSessionStack(t)
  const nodes = [await stack.aGateway(t), await stack.aGateway(t)] as const
  nodes.forEach(slowFills)

  /** True when some request that began after the answer was accepted. */
  async function acceptsTooLate(design: Design): Promise<boolean> {
    const { token } = await stack.addSession()
    let answered = false
    let tooLate = false
    const readers = [nodes[0], nodes[1], nodes[1]].map(async node => {
      for (let i = 0; i < READS; i++) {
        const late = answered
        if ((await design.accepts(node, token)) && late) tooLate = true
        await upTo(3)
        if (Math.random() < 0.35) await node.link.client.del(design.entry(token))
      }
    })
    await upTo(8)
    await design.signOut(nodes[0], token)
    answered = true
    await Promise.all(readers)
    for (const node of nodes) if (await design.accepts(node, token)) tooLate = true
    return tooLate
  }

  async function countTooLate(design: Design): Promise<number> {
    let count = 0
    for (let i = 0; i < SESSIONS; i += AT_ONCE) {
      const outcomes = await Promise.all(Array.from({ length: AT_ONCE }, () => acceptsTooLate(design)))
      count += outcomes.filter(Boolean).length
    }
    return count
  }

  const caught = await countTooLate(naive)
  t.ok(caught > SESSIONS / 20, `COMMIT and DEL: ${caught} accepted after the answer, so the harness can tell`)
  t.equal(await countTooLate(ours), 0, 'ours: none')
  const hits = nodes.flatMap(({ sources }) => sources).filter(source => source === 'redis').length
  t.ok(hits > SESSIONS / 10, `and ${hits} look-ups were answered by Redis`)
})
