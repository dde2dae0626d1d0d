/** What a process holds, by the books of Linux: memory, descriptors, and where its sockets lead to. */
import { readdir, readFile, readlink } from 'node:fs/promises'

const MB = 1024

export interface Holdings {
  /** Resident, in MB. */
  readonly rss: number
  /** Descriptors that are no TCP sockets. */
  readonly others: number
  /** TCP sockets by peer, without those that listen. */
  readonly sockets: { readonly clients: number; readonly plain: number; readonly live: number; readonly rest: number }
  /** Ended by the peer and not by the process: forgotten. */
  readonly closeWait: number
}

export interface Ports {
  /** Of the process. */
  readonly own: readonly number[]
  readonly plain: number
  readonly live: number
}

const [CLOSE_WAIT, LISTEN] = ['08', '0A']

/** Rejects where there is no /proc, and when the process has gone. */
export async function holdingsOf(pid: number, ports: Ports): Promise<Holdings> {
  const [status, descriptors, table, table6] = await Promise.all([
    readFile(`/proc/${pid}/status`, 'latin1'),
    descriptorsOf(pid),
    readFile(`/proc/${pid}/net/tcp`, 'latin1'),
    // Not there without IPv6.
    readFile(`/proc/${pid}/net/tcp6`, 'latin1').catch(() => '')
  ])
  const own = new Set(descriptors)
  const tcp = [...table.split('\n'), ...table6.split('\n')]
    .map(parse)
    .filter(({ inode }) => own.has(`socket:[${inode}]`))
  const open = tcp.filter(({ state }) => state !== LISTEN)
  const clients = open.filter(({ local }) => ports.own.includes(local)).length
  const to = (port: number) => open.filter(({ peer }) => peer === port).length
  const [plain, live] = [to(ports.plain), to(ports.live)]
  return {
    rss: Math.round(Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / MB),
    others: descriptors.length - tcp.length,
    sockets: { clients, plain, live, rest: open.length - clients - plain - live },
    closeWait: open.filter(({ state }) => state === CLOSE_WAIT).length
  }
}

async function descriptorsOf(pid: number): Promise<string[]> {
  const names = await readdir(`/proc/${pid}/fd`)
  const targets = await Promise.all(names.map(name => readlink(`/proc/${pid}/fd/${name}`).catch(() => null)))
  // One that was closed meanwhile is none.
  return targets.filter(target => target !== null)
}

/** A line of /proc/net/tcp: sl, local, peer, state, …, the tenth is the inode. */
function parse(line: string): { local: number; peer: number; state: string; inode: string } {
  const [, local = '', peer = '', state = '', , , , , , inode = '-'] = line.trim().split(/\s+/)
  return { local: portOf(local), peer: portOf(peer), state, inode }
}

/** Of `0100007F:1F90`. */
function portOf(address: string): number {
  return Number.parseInt(address.split(':')[1] ?? '', 16)
}
