/**
 * A cluster as one server: all our keys carry the hash tag {sg}, so they live in one slot, and only the master
 * of that slot is of interest. Each connection looks for it afresh; a slot that has moved answers MOVED, which
 * reconnects. One connection to one known server is what lets `redis.ts` say which incarnation it talks to.
 */
import { createConnection, type Socket } from 'node:net'
import { AbstractConnector, Redis } from 'ioredis'
import type { HostPort, Login } from './redis-address.js'

/** CRC16('sg') mod 16384. */
const SLOT = 331
const ASK_TIMEOUT_MS = 1000
const DISCONNECT_TIMEOUT_MS = 2000

type SlotRange = [from: number, to: number, master: [host: string | null, port: number]]

export function slotOwnerConnector(seeds: readonly HostPort[], login: Login) {
  let turn = 0

  return class SlotOwnerConnector extends AbstractConnector {
    constructor() {
      super(DISCONNECT_TIMEOUT_MS)
    }

    /** Never rejects while wanted: ioredis takes that for the end and stops reconnecting. */
    async connect(): Promise<Socket> {
      this.connecting = true
      const address = (await findOwner(seeds, login)) ?? (seeds[turn++ % seeds.length] as HostPort)
      if (!this.connecting) throw new Error('Connection is closed.')
      const socket = createConnection(address)
      this.stream = socket
      return socket
    }
  }
}

async function findOwner(seeds: readonly HostPort[], login: Login): Promise<HostPort | null> {
  for (const seed of seeds) {
    const owner = await askForOwner(seed, login).catch(() => null)
    if (owner !== null) return owner
  }
  return null
}

async function askForOwner(seed: HostPort, login: Login): Promise<HostPort | null> {
  const client = new Redis({
    ...seed,
    ...login,
    lazyConnect: true,
    connectTimeout: ASK_TIMEOUT_MS,
    commandTimeout: ASK_TIMEOUT_MS,
    retryStrategy: () => null
  })
  client.on('error', () => {})
  try {
    await client.connect()
    const ranges = (await client.call('CLUSTER', 'SLOTS')) as SlotRange[]
    const [, , master] = ranges.find(([from, to]) => from <= SLOT && SLOT <= to) ?? []
    if (master === undefined) return null
    // A node that does not know its own name says nothing: it is the one we asked.
    return { host: master[0] || seed.host, port: master[1] }
  } finally {
    client.disconnect()
  }
}
