/**
 * Bodies as large as one likes at the speed of the sockets: one block sent over and over, bytes counted and dropped.
 */
import { createServer, type AddressInfo, connect, type Socket } from 'node:net'

const BLOCK = Buffer.alloc(256 * 1024, 'x')

type Scope = { teardown: (fn: () => unknown) => unknown }

/** Writes so many bytes, no faster than the other side takes them. */
export function pour(socket: Socket, bytes: number): void {
  let left = bytes
  const pump = (): void => {
    while (left > 0) {
      const block = left < BLOCK.length ? BLOCK.subarray(0, left) : BLOCK
      left -= block.length
      if (!socket.write(block)) return
    }
    socket.off('drain', pump)
  }
  socket.on('drain', pump)
  pump()
}

/** Resolves with the number of bytes behind the head when the other side has ended. */
export function drink(socket: Socket): Promise<number> {
  return new Promise((resolve, reject) => {
    let [body, inHead] = [0, true]
    socket.on('data', (chunk: Buffer) => {
      // Heads of these answers come in one piece.
      body += inHead ? chunk.length - chunk.indexOf('\r\n\r\n') - 4 : chunk.length
      inHead = false
    })
    socket.on('end', () => resolve(body)).on('error', reject)
  })
}

/** A connection with this request sent on it. */
export function request(port: number, lines: readonly string[]): Socket {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  socket.write([...lines, 'Host: localhost', 'Connection: close', '', ''].join('\r\n'))
  return socket
}

export interface BulkUpstream {
  readonly origin: string
  /** One for each request, oldest first. */
  readonly sockets: readonly Socket[]
}

/**
 * `GET /…/<bytes>` is answered with so many of them; the body of any other is read and answered with as many digits as
 * its length has. A path with `stall` in it: the body is left on the wire.
 */
export async function startBulkUpstream(t: Scope): Promise<BulkUpstream> {
  const sockets: Socket[] = []
  const server = createServer(socket => {
    sockets.push(socket.on('error', () => {}))
    socket.once('data', (first: Buffer) => {
      const end = first.indexOf('\r\n\r\n') + 4
      const head = first.toString('latin1', 0, end)
      if (head.startsWith('GET')) {
        const size = Number(/\/(\d+) HTTP/.exec(head)?.[1])
        socket.write(`HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: ${size}\r\n\r\n`)
        pour(socket, size)
        return
      }
      const size = Number(/content-length: (\d+)/i.exec(head)?.[1])
      let left = size - (first.length - end)
      socket.on('data', (chunk: Buffer) => {
        left -= chunk.length
        if (left === 0)
          socket.write(`HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: ${String(size).length}\r\n\r\n${size}`)
      })
      if (head.includes('stall')) socket.pause()
    })
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo
  return { origin: `http://127.0.0.1:${port}`, sockets }
}
