/**
 * `REDIS_URL` → where ioredis connects to.
 *
 *   redis://[user:password@]host[:6379][/db]               one server
 *   rediss://…                                             the same over TLS
 *   redis+sentinel://[user:password@]h1[:26379],h2/name    the master that the Sentinels name
 *   redis+cluster://[user:password@]h1[:6379],h2           the master of the one slot we use
 */
import type { RedisOptions } from 'ioredis'
import { ConfigError } from '../errors.js'
import { slotOwnerConnector } from './redis-cluster.js'

export interface HostPort {
  readonly host: string
  readonly port: number
}

export type Login = Pick<RedisOptions, 'username' | 'password'>

export type RedisAddress = Login &
  Pick<RedisOptions, 'host' | 'port' | 'db' | 'tls' | 'sentinels' | 'name' | 'Connector'>

interface Parts {
  readonly scheme: string
  readonly login: Login
  readonly hosts: readonly HostPort[]
  readonly path: string
}

const SHAPE = /^(rediss?|redis\+sentinel|redis\+cluster):\/\/(?:([^/@]*)@)?([^/?#@]+)(?:\/([^?#]*))?$/

/** Throws ConfigError. The message never repeats the URL: there may be a password in it. */
export function parseRedisUrl(url: string): RedisAddress {
  const { scheme, login, hosts, path } = split(url)
  const [first] = hosts
  if (first === undefined) throw refusal()
  if (scheme === 'redis+sentinel') {
    if (path === '') throw refusal('redis+sentinel:// needs the name of the master group: redis+sentinel://h1,h2/name.')
    return { ...login, sentinels: [...hosts], name: path }
  }
  if (scheme === 'redis+cluster') return { ...login, Connector: slotOwnerConnector(hosts, login) }

  if (hosts.length > 1)
    throw refusal(`${scheme}:// takes one host; several need redis+sentinel:// or redis+cluster://.`)
  if (!/^\d*$/.test(path)) throw refusal('The path of a redis:// address is the number of a database.')
  return { ...login, ...first, db: Number(path), ...(scheme === 'rediss' && { tls: {} }) }
}

function split(url: string): Parts {
  const [, scheme = '', userinfo = '', hostList = '', path = ''] = SHAPE.exec(url) ?? []
  const [user = '', ...rest] = userinfo.split(':')
  const port = scheme === 'redis+sentinel' ? 26379 : 6379
  return {
    scheme,
    login: {
      ...(user !== '' && { username: decode(user) }),
      ...(rest.length > 0 && { password: decode(rest.join(':')) })
    },
    hosts: hostList === '' ? [] : hostList.split(',').map(text => parseHost(text, port)),
    path: decode(path)
  }
}

function parseHost(text: string, defaultPort: number): HostPort {
  const [, bracketed, plain, port] = /^(?:\[([\da-fA-F:.]+)\]|([^:[\]\s]+))(?::(\d{1,5}))?$/.exec(text) ?? []
  const host = bracketed ?? plain
  if (host === undefined) throw refusal()
  return { host, port: port === undefined ? defaultPort : Number(port) }
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw refusal()
  }
}

function refusal(
  message = 'Not a Redis address: redis://, rediss://, redis+sentinel:// or redis+cluster://.'
): ConfigError {
  return new ConfigError([{ place: 'env REDIS_URL', message }])
}
