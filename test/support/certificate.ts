/**
 * X.509 certificates made on the spot, so that no key lies in the repository and none runs out.
 * As little DER as a TLS server needs (RFC 5280): ECDSA P-256, one name, an optional signing authority.
 */
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { isIPv4 } from 'node:net'

export interface Certificate {
  /** PEM. */
  readonly cert: string
  readonly key: string
  readonly name: string
  readonly privateKey: KeyObject
}

export interface CertificateOptions {
  /** A DNS name or an IPv4 address. */
  readonly name: string
  /** Default: signed by itself. */
  readonly signedBy?: Certificate
  readonly isAuthority?: boolean
  /** Default: an hour from now. */
  readonly expiresAt?: Date
}

const HOUR_MS = 3_600_000

export function createCertificate({ name, signedBy, isAuthority = false, expiresAt }: CertificateOptions): Certificate {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const end = expiresAt ?? new Date(Date.now() + HOUR_MS)
  const body = sequence(
    tagged(0xa0, integer(2)),
    integer(Date.now() % 0x7fffffff),
    ECDSA_WITH_SHA256,
    distinguishedName(signedBy?.name ?? name),
    sequence(time(new Date(end.getTime() - 2 * HOUR_MS)), time(end)),
    distinguishedName(name),
    publicKey.export({ type: 'spki', format: 'der' }),
    tagged(0xa3, sequence(subjectName(name), ...(isAuthority ? [AUTHORITY] : [])))
  )
  const signature = sign('sha256', body, signedBy?.privateKey ?? privateKey)
  const der = sequence(body, ECDSA_WITH_SHA256, tagged(0x03, Buffer.from([0]), signature))
  const base64 = der.toString('base64').replaceAll(/.{64}/g, '$&\n')
  return {
    cert: `-----BEGIN CERTIFICATE-----\n${base64}\n-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    name,
    privateKey
  }
}

function tagged(tag: number, ...parts: Buffer[]): Buffer {
  const value = Buffer.concat(parts)
  const { length } = value
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...size]), value])
}

function sequence(...parts: Buffer[]): Buffer {
  return tagged(0x30, ...parts)
}

function integer(value: number): Buffer {
  const bytes = Buffer.alloc(5)
  bytes.writeUInt32BE(value, 1)
  const first = bytes.findIndex((byte, i) => i === 4 || byte !== 0 || (bytes[i + 1] ?? 0) > 0x7f)
  return tagged(0x02, bytes.subarray(first))
}

function time(date: Date): Buffer {
  // UTCTime: YYMMDDHHMMSSZ.
  return tagged(0x17, Buffer.from(`${date.toISOString().slice(2, 19).replaceAll(/[-:T]/g, '')}Z`))
}

const ECDSA_WITH_SHA256 = sequence(Buffer.from('06082a8648ce3d040302', 'hex'))
const COMMON_NAME = Buffer.from('0603550403', 'hex')
const SUBJECT_ALT_NAME = Buffer.from('0603551d11', 'hex')
/** basicConstraints, critical, CA: true. */
const AUTHORITY = Buffer.from('300f0603551d130101ff040530030101ff', 'hex')

function distinguishedName(name: string): Buffer {
  return sequence(tagged(0x31, sequence(COMMON_NAME, tagged(0x0c, Buffer.from(name)))))
}

function subjectName(name: string): Buffer {
  const entry = isIPv4(name) ? tagged(0x87, Buffer.from(name.split('.').map(Number))) : tagged(0x82, Buffer.from(name))
  return sequence(SUBJECT_ALT_NAME, tagged(0x04, sequence(entry)))
}
