/** Lines of a header section, read and written. */
import { GatewayError } from '../errors.js'

/** RFC 9110 section 5.6.2, as the source of a pattern. */
export const TOKEN = "[!#$%&'*+\\-.^_`|~0-9A-Za-z]+"

/** No folded lines, no space before the colon, no bare CR or LF: RFC 9112 sections 5.1, 5.2 and 2.2. */
export const FIELD_LINES = new RegExp(`^(?:${TOKEN}:[\\t\\x20-\\x7e\\x80-\\xff]*\\r\\n)*$`)

/** Above 0xff a character would be cut to its lower byte, which may be a line end. */
const NOT_IN_A_VALUE = /[^\t\x20-\x7e\x80-\xff]/

/** To be sent as latin1. Throws INTERNAL_ERROR rather than write what could be read as two lines. */
export function fieldLine(name: string, value: string): string {
  if (NOT_IN_A_VALUE.test(value)) throw new GatewayError('INTERNAL_ERROR', { reason: 'header_value' })
  return `${name}: ${value}\r\n`
}
