/** A TCP link to a local server that can be cut, go silent, or lead somewhere else. */
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

export interface FlakyLink {
  readonly port: number
  /** Where connections from now on lead to. */
  leadTo: (port: number) => void
  /** Resets every connection. */
  cut: () => void
  /** Both directions lose what is sent, and connections stay open: a black hole. New connections hang too. */
  stall: () => void
  /** What was lost stays lost. */
  resume: () => void
  /** The connections open now lead into a black hole for good; new ones work. */
  loseOpenOnes: () => void
}

type Scope = { teardown: (fn: () => unknown) => unknown }

export async function startFlakyLink(scope: Scope, targetPort: number): Promise<FlakyLink> {
  const sockets = new Set<Socket>()
  const lost = new WeakSet<Socket>()
  let target = targetPort
  let stalled = false

  const server = createServer(near => {
    const far = connect(target, '127.0.0.1')
    for (const [from, to] of [
      [near, far],
      [far, near]
    ] as const) {
      sockets.add(from)
      from.on('data', data => {
        if (!stalled && !lost.has(from)) to.write(data)
      })
      from.on('error', () => {})
      from.on('close', () => {
        sockets.delete(from)
        if (!stalled && !lost.has(from)) to.destroy()
      })
    }
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))

  const cut = () => sockets.forEach(socket => socket.resetAndDestroy())
  scope.teardown(() => {
    server.close()
    cut()
  })
  return {
    port: (server.address() as AddressInfo).port,
    leadTo: port => {
      target = port
    },
    cut,
    stall: () => {
      stalled = true
    },
    resume: () => {
      stalled = false
    },
    loseOpenOnes: () => sockets.forEach(socket => lost.add(socket))
  }
}
