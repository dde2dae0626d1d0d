/**
 * `tls` of an upstream: paths of PEM files become what its connections are opened with. Read with gateway.yaml, so a
 * renewed certificate is in force after a SIGHUP, and one that does not fit keeps the old ones. No message holds a path
 * or a piece of a file: both may be secret.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { createSecureContext } from 'node:tls'

/** PEM; what is undefined was not asked for. */
export interface UpstreamTls {
  /** In place of the authorities the system trusts. */
  readonly ca: string | undefined
  /** Ours, with what leads to its authority. */
  readonly cert: string | undefined
  readonly key: string | undefined
}

type Paths = { readonly [Name in keyof UpstreamTls]?: string | undefined }
/** `key`: null for the whole of `tls`. */
type Report = (key: keyof UpstreamTls | null, message: string) => void

const ONE_CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g

/** `folder`: what relative paths begin at. With problems reported, what was sound. */
export function readUpstreamTls(paths: Paths, folder: string, report: Report): UpstreamTls {
  const read = (key: keyof UpstreamTls) => textOf(paths[key], folder, message => report(key, message))
  const tls = { ca: read('ca'), cert: read('cert'), key: read('key') }
  if (tls.ca !== undefined) certificatesOf(tls.ca, message => report('ca', message))
  const certificate = tls.cert && certificatesOf(tls.cert, message => report('cert', message))
  const key = tls.key && privateKeyOf(tls.key, message => report('key', message))
  if (!certificate || !key) return tls
  if (certificate.checkPrivateKey(key)) tryOut(tls, message => report(null, message))
  else report('key', 'is not the key of this cert')
  return tls
}

function textOf(path: string | undefined, folder: string, report: (message: string) => void): string | undefined {
  if (path === undefined) return undefined
  try {
    return readFileSync(resolve(folder, path), 'utf8')
  } catch (error) {
    report(`names a file that cannot be read (${(error as NodeJS.ErrnoException).code})`)
    return undefined
  }
}

/** The first one. */
function certificatesOf(pem: string, report: (message: string) => void): X509Certificate | undefined {
  try {
    const [first] = (pem.match(ONE_CERTIFICATE) ?? []).map(one => new X509Certificate(one))
    if (first !== undefined) return first
    report('names a file without a certificate in PEM')
  } catch {
    report('names a file with a certificate that cannot be read')
  }
  return undefined
}

function privateKeyOf(pem: string, report: (message: string) => void): KeyObject | undefined {
  try {
    return createPrivateKey(pem)
  } catch {
    report('names a file without a private key in PEM, or with one behind a passphrase')
    return undefined
  }
}

/** OpenSSL has rules of its own, such as the least length of a key. */
function tryOut(tls: UpstreamTls, report: (message: string) => void): void {
  try {
    createSecureContext(tls)
  } catch (error) {
    report(`is refused by OpenSSL (${(error as NodeJS.ErrnoException).code})`)
  }
}
