/**
 * What an upstream is told about the caller: contract section 5. Values are visible ASCII; everything else, and
 * the percent sign itself, is percent-encoded as UTF-8, so a name can neither break a header nor be read two ways.
 */
import type { Session } from '../session/session.js'

const written = new WeakMap<Session, readonly string[]>()

/** Flat list of names and values, written once for a session: it serves many requests, wherever it is looked up. */
export function identityHeaders(session: Session): readonly string[] {
  const known = written.get(session)
  if (known !== undefined) return known
  const headers = writeHeaders(session)
  written.set(session, headers)
  return headers
}

function writeHeaders(session: Session): readonly string[] {
  const headers = [
    'X-User-ID',
    headerSafe(session.userId),
    'X-User-Email',
    headerSafe(session.email),
    'X-User-Email-Verified',
    String(session.emailVerified),
    'X-User-Roles',
    session.roles.map(roleSafe).join(','),
    'X-Session-ID',
    headerSafe(session.id)
  ]
  if (session.organizationId !== null) {
    headers.push('X-Organization-ID', headerSafe(session.organizationId))
    if (session.organizationRole !== null) headers.push('X-Organization-Role', headerSafe(session.organizationRole))
  }
  return headers
}

const VISIBLE = /^[\x21-\x24\x26-\x7e](?:[\x20-\x24\x26-\x7e]*[\x21-\x24\x26-\x7e])?$/

export function headerSafe(value: string): string {
  if (VISIBLE.test(value)) return value
  let safe = ''
  const bytes = Buffer.from(value, 'utf8')
  for (const [i, byte] of bytes.entries()) {
    // Blanks at either end are not part of a field value (RFC 9110 section 5.5), so they would be lost.
    const atEnd = i === 0 || i === bytes.length - 1
    const plain = byte >= (atEnd ? 0x21 : 0x20) && byte <= 0x7e && byte !== 0x25
    safe += plain ? String.fromCharCode(byte) : percent(byte)
  }
  return safe
}

/** The comma separates roles, so a role may not contain one. */
function roleSafe(role: string): string {
  return headerSafe(role).replaceAll(',', '%2C')
}

function percent(byte: number): string {
  return `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
}
