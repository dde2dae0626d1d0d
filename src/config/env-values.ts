/** From the text of a variable to its value. The messages say what is right, never what was given. */
import { availableParallelism } from 'node:os'
import { BlockList, isIPv4, isIPv6 } from 'node:net'
import { z } from 'zod'
import type { RateLimit } from './env.js'
import { durationMs } from './quantities.js'

const trimmed = z.string().trim()

/** `parse` answers undefined for what it does not take. */
function value<T>(message: string, parse: (text: string) => T | undefined): z.ZodType<T, string> {
  return trimmed.transform((text, context): T => {
    const parsed = parse(text)
    if (parsed !== undefined) return parsed
    context.addIssue({ code: 'custom', message })
    return z.NEVER
  })
}

function wholeNumber(text: string): number {
  return /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN
}

function parsedUrl(text: string): URL | null {
  return URL.canParse(text) ? new URL(text) : null
}

/** `http://host:port` in the one spelling browsers use; undefined for anything that says more than an origin. */
function originOf(text: string): string | undefined {
  const url = parsedUrl(text)
  const isHttp = url?.protocol === 'http:' || url?.protocol === 'https:'
  return isHttp && url.href === `${url.origin}/` && !url.host.includes('*') ? url.origin : undefined
}

function list<T>(text: string, parse: (entry: string) => T | undefined): T[] | undefined {
  const entries = text.split(',').map(entry => entry.trim())
  const parsed = entries.filter(entry => entry !== '').map(parse)
  return parsed.includes(undefined) ? undefined : (parsed as T[])
}

export const text = value('must not be empty', text => text)

export const hostName = value('must be an address or a host name', text => (/^[\w.:-]+$/.test(text) ? text : undefined))

export function integer(min: number, max: number): z.ZodType<number, string> {
  return value(`must be a whole number from ${min} to ${max}`, text => {
    const number = wholeNumber(text)
    return number >= min && number <= max ? number : undefined
  })
}

const TEN_YEARS_MS = 10 * 365 * 86_400_000

/** A plain number counts in `unitMs`; a unit may be written instead. Limits and result count in `unitMs` as well. */
export function duration(unitMs: 1 | 1000, min: number, max = TEN_YEARS_MS / unitMs): z.ZodType<number, string> {
  const unit = unitMs === 1 ? 'milliseconds' : 'seconds'
  const range = max === TEN_YEARS_MS / unitMs ? `from ${min} on` : `from ${min} to ${max}`
  return value(`must be ${unit} ${range}, or a duration such as 10m or 7d`, text => {
    const amount = /^\d+$/.test(text) ? wholeNumber(text) : (durationMs(text) ?? Number.NaN) / unitMs
    return Number.isInteger(amount) && amount >= min && amount <= max ? amount : undefined
  })
}

export const flag = value("must be '1' or '0'", text => {
  if (/^(1|true|yes|on)$/i.test(text)) return true
  return /^(0|false|no|off)$/i.test(text) ? false : undefined
})

export function oneOf<const T extends string>(...words: readonly T[]): z.ZodType<T, string> {
  return value(`must be one of ${words.join(', ')}`, text => words.find(word => word === text))
}

export const origin = value('must be an http or https origin without a path, https://gw.example.com', originOf)

export const origins = value(
  "must be a comma list of exact origins, https://app.example.com: no '*', no path, http or https",
  text => list(text, originOf)
)

export const webUrl = value('must be an http or https address', text => {
  const url = parsedUrl(text)
  return url?.protocol === 'http:' || url?.protocol === 'https:' ? text.replace(/\/+$/, '') : undefined
})

export const postgresUrl = value('must be an address such as postgres://user:password@host:5432/name', text =>
  /^postgres(ql)?:$/.test(parsedUrl(text)?.protocol ?? '') ? text : undefined
)

const REDIS_URL = /^(rediss?:\/\/[^/]|redis\+sentinel:\/\/[^/]*[^/]\/[^/]+$|redis\+cluster:\/\/[^/])/

/** Lists of hosts are no URLs to a URL parser, so one host stands in for the list. */
export const redisUrl = value(
  'must start with redis://, rediss://, redis+sentinel://h1,h2/name or redis+cluster://h1,h2',
  text => (REDIS_URL.test(text) && URL.canParse(text.replace(/,[^/]*/, '')) ? text : undefined)
)

export const smtpUrl = value('must be an address such as smtps://user:password@host', text =>
  /^smtps?:$/.test(parsedUrl(text)?.protocol ?? '') ? text : undefined
)

export const sender = value('must be a sender such as Example <no-reply@example.com>', text =>
  /^[^\p{Cc}]*[^\s@]+@[^\s@]+$/u.test(text) ? text : undefined
)

export const logLevel = oneOf('fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent')

export const identifier = value('must be the name of a PostgreSQL schema', text =>
  /^[A-Za-z_][\w$]{0,62}$/.test(text) ? text : undefined
)

export const cookieDomain = value('must be a domain such as .example.com', text =>
  /^\.?([a-z0-9-]+\.)*[a-z0-9-]+$/i.test(text) ? text.toLowerCase() : undefined
)

export const rateLimit: z.ZodType<RateLimit, string> = value('must be a number per duration, such as 5/60s', text => {
  const [, max = '', window = ''] = /^(\d{1,9})\/(\w+)$/.exec(text) ?? []
  const windowMs = durationMs(window)
  return Number(max) > 0 && windowMs !== null ? { max: Number(max), windowMs } : undefined
})

export const workers = value("must be a number from 1 to 256, or 'auto'", text => {
  const number = text === 'auto' ? availableParallelism() : wholeNumber(text)
  return number >= 1 && number <= 256 ? number : undefined
})

/**
 * A hop count trusts nobody in Fastify 5.12, an all-embracing range trusts everybody, and a mapped one
 * (::ffff:10.0.0.0/8) is far wider than it reads (CVE-2026-92395): none of them is what was meant.
 */
export const proxies = value(
  'must be a comma list of addresses and CIDRs, 10.0.0.0/8: no hop count, no ::ffff: form, nothing wider than /8 (IPv6: /7)',
  text => list(text, entry => (isNarrow(entry) ? entry : undefined))
)

function isNarrow(entry: string): boolean {
  const [address = '', bits, ...rest] = entry.split('/')
  if (rest.length > 0 || address.includes('%')) return false
  if (isIPv4(address)) return bits === undefined || (wholeNumber(bits) >= 8 && wholeNumber(bits) <= 32)
  const width = bits === undefined ? 128 : wholeNumber(bits)
  return isIPv6(address) && width >= 7 && width <= 128 && !touchesMapped(address, width)
}

/** Whether a range lies in ::ffff:0:0/96 or around it. */
function touchesMapped(address: string, width: number): boolean {
  const range = new BlockList()
  range.addSubnet(address, width, 'ipv6')
  return new URL(`http://[${address}]`).hostname.startsWith('[::ffff:') || range.check('::ffff:0:0', 'ipv6')
}
