/**
 * Who is at the other end: the socket's address, or, when the peer is a trusted proxy, the right-most
 * address of X-Forwarded-For that is not one itself. The left-most entry is whatever the client wrote
 * (CVE-2026-110724, CVE-2025-59152 and their kind), so it is never the answer by position.
 */
import type { IncomingMessage } from 'node:http'
import { BlockList, isIP, isIPv4 } from 'node:net'
import { GatewayError } from '../errors.js'

export interface Peer {
  readonly clientAddress: string
  readonly trusted: boolean
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

  return function readPeer(request) {
    const socketAddress = plainAddress(request.socket.remoteAddress ?? '') ?? '0.0.0.0'
    if (trusted === null || !isListed(trusted, socketAddress)) return { clientAddress: socketAddress, trusted: false }

    const chain = request.headers['x-forwarded-for']
    if (chain === undefined) return { clientAddress: socketAddress, trusted: true }
    return { clientAddress: firstUntrusted(String(chain).split(','), socketAddress, trusted), trusted: true }
  }
}

function firstUntrusted(hops: readonly string[], socketAddress: string, trusted: BlockList): string {
  if (hops.length > MAX_HOPS) throw new GatewayError('BAD_REQUEST', { reason: 'too_many_hops' })
  let client = socketAddress
  for (let i = hops.length - 1; i >= 0; i--) {
    const address = plainAddress(hops[i] ?? '')
    // Garbage ends the walk: what stands left of it came from somebody we know nothing about.
    if (address === null) return client
    client = address
    if (!isListed(trusted, address)) return client
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
  const zone = address.indexOf('%')
  if (zone >= 0) address = address.slice(0, zone)
  const mapped = /^::ffff:([\d.]+)$/i.exec(address)?.[1]
  if (mapped !== undefined && isIPv4(mapped)) return mapped
  return isIP(address) === 0 ? null : address.toLowerCase()
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
