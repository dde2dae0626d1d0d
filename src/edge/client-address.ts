/**
 * Who is at the other end: the socket's address, or, when the peer is a trusted proxy, the right-most
 * address of X-Forwarded-For that is not one itself. The left-most entry is whatever the client wrote
 * (CVE-2026-110724, CVE-2025-59152 and their kind), so it is never the answer by position.
 */
import type { IncomingMessage } from 'node:http'
import { BlockList, isIP, isIPv4, isIPv6, type Socket } from 'node:net'
import { GatewayError } from '../errors.js'

export interface Peer {
  /** The other end of the socket. */
  readonly peerAddress: string
  readonly clientAddress: string
  readonly trusted: boolean
  /** X-Forwarded-For as a trusted peer tells it, from the last entry that is no address on; empty for all others. */
  readonly forwardedFor: string
}

export type PeerReader = (request: IncomingMessage) => Peer

/** Longer chains are noise or an attack on the parser. */
const MAX_HOPS = 50

/**
 * `trustedProxies`: addresses and CIDRs, validated by the configuration.
 * The reader throws BAD_REQUEST when a trusted proxy hands on more than 50 hops.
 */
export function createPeerReader(trustedProxies: readonly string[]): PeerReader {
  const trusted = blockListOf(trustedProxies)
  // Of a connection it is the same for every request.
  const strangers = new WeakMap<Socket, Peer>()

  return function readPeer(request) {
    const known = strangers.get(request.socket)
    if (known !== undefined) return known
    const socketAddress = plainAddress(request.socket.remoteAddress ?? '') ?? '0.0.0.0'
    if (trusted === null || !isListed(trusted, socketAddress)) {
      const peer = { peerAddress: socketAddress, clientAddress: socketAddress, trusted: false, forwardedFor: '' }
      strangers.set(request.socket, peer)
      return peer
    }
    const chain = request.headers['x-forwarded-for']
    const hops = chain === undefined ? [] : believable(String(chain).split(','))
    const clientAddress = firstUntrusted(hops, socketAddress, trusted)
    return { peerAddress: socketAddress, clientAddress, trusted: true, forwardedFor: hops.join(', ') }
  }
}

/** Garbage ends the chain: what stands left of it came from somebody we know nothing about. */
function believable(entries: readonly string[]): string[] {
  if (entries.length > MAX_HOPS) throw new GatewayError('BAD_REQUEST', { reason: 'too_many_hops' })
  const hops = entries.map(entry => entry.trim())
  return hops.slice(hops.findLastIndex(hop => plainAddress(hop) === null) + 1)
}

function firstUntrusted(hops: readonly string[], socketAddress: string, trusted: BlockList): string {
  let client = socketAddress
  for (let i = hops.length - 1; i >= 0; i--) {
    client = plainAddress(hops[i] as string) as string
    if (!isListed(trusted, client)) return client
  }
  return client
}

/** An address without port, brackets and IPv4 mapping (`::ffff:1.2.3.4`), or null for anything else. */
export function plainAddress(text: string): string | null {
  let address = text.trim()
  if (address.startsWith('[')) {
    const end = address.indexOf(']')
    if (end < 0 || !/^(:\d{1,5})?$/.test(address.slice(end + 1))) return null
    address = address.slice(1, end)
  } else if (/^[\d.]+:\d{1,5}$/.test(address)) {
    address = address.slice(0, address.indexOf(':'))
  }
  if (isIP(address) === 0) return null
  const zone = address.indexOf('%')
  if (zone >= 0) address = address.slice(0, zone)
  const mapped = /^::ffff:([\d.]+)$/i.exec(address)?.[1]
  if (mapped !== undefined && isIPv4(mapped)) return mapped
  return address.toLowerCase()
}

function blockListOf(entries: readonly string[]): BlockList | null {
  if (entries.length === 0) return null
  const list = new BlockList()
  for (const entry of entries) {
    const [address = '', bits] = entry.split('/')
    const family = isIPv4(address) ? 'ipv4' : 'ipv6'
    if (bits === undefined) list.addAddress(address, family)
    else list.addSubnet(address, Number(bits), family)
  }
  return list
}

function isListed(list: BlockList, address: string): boolean {
  return list.check(address, isIPv4(address) ? 'ipv4' : 'ipv6')
}

/** What a client is counted under: IPv6 by its /64, which is what one customer of a provider has; IPv4 as it is. */
export function addressKey(address: string): string {
  return isIPv6(address) ? `${network64(address)}::/64` : address
}

function network64(address: string): string {
  const [head = '', tail] = address.toLowerCase().split('::')
  const before = head === '' ? [] : head.split(':')
  const after = tail === undefined || tail === '' ? [] : tail.split(':')
  // An IPv4 tail (`::1.2.3.4`) stands for two groups; it never reaches into the first four.
  const groups = after.length + (tail?.includes('.') ? 1 : 0)
  const zeros = tail === undefined ? 0 : 8 - before.length - groups
  const all = [...before, ...Array<string>(Math.max(0, zeros)).fill('0'), ...after]
  return all
    .slice(0, 4)
    .map(group => Number.parseInt(group, 16).toString(16))
    .join(':')
}
