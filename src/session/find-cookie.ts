/**
 * Cuts one cookie out of a Cookie header without taking the rest apart: 0.1 µs where a parser takes 1.4.
 * Names are compared to the byte, the first of duplicates counts (RFC 6265bis leaves it open; Better Auth takes
 * the first). Taking the second because the first looks odd would let a tossed cookie choose who is asked what.
 */
const SEMICOLON = 59
const EQUALS = 61
const QUOTE = 34

/**
 * The value as written, outer blanks and quotes removed; '' when there is no such cookie.
 * Null: it is there, but written as no browser writes it and as other parsers would read differently.
 */
export function findCookie(header: string, name: string): string | null {
  for (let at = header.indexOf(name); at >= 0; at = header.indexOf(name, at + name.length)) {
    const begins = startsPair(header, at)
    if (begins === 'no') continue
    let after = at + name.length
    while (isBlank(header.charCodeAt(after))) after++
    if (header.charCodeAt(after) !== EQUALS) continue
    if (begins === 'oddly' || after !== at + name.length) return null

    const end = header.indexOf(';', after)
    return unquote(header.slice(after + 1, end < 0 ? header.length : end).trim())
  }
  return ''
}

/** Does a cookie's name start here? 'oddly': yes for a parser that trims more than spaces and tabs. */
function startsPair(header: string, at: number): 'yes' | 'no' | 'oddly' {
  let oddly = false
  let i = at - 1
  for (; i >= 0 && header.charCodeAt(i) !== SEMICOLON; i--) {
    const code = header.charCodeAt(i)
    if (!isBlank(code)) return 'no'
    if (code !== 32 && code !== 9) oddly = true
  }
  return oddly ? 'oddly' : 'yes'
}

/** What String.prototype.trim removes, as far as a header can hold it. */
function isBlank(code: number): boolean {
  return code === 32 || (code >= 9 && code <= 13) || code === 0xa0
}

function unquote(value: string): string | null {
  if (value.charCodeAt(0) !== QUOTE) return value
  if (value.length < 2 || value.charCodeAt(value.length - 1) !== QUOTE) return null
  return value.slice(1, -1)
}
