/**
 * Cookies as browsers write and store them, in any mixture, against models written from RFC 6265bis and Better Auth's
 * names.
 */
import { array, assert, constantFrom, oneof, property, string, tuple } from 'fast-check'
import t from 'tap'
import { SessionCookies } from '../../../src/upstream/session-cookies.js'
import { RUNS } from '../../support/runs.js'

const cookies = new SessionCookies('__Secure-better-auth.session_token')

const SECRET = 'SECRET'
const PREFIXES = ['', '__Secure-', '__Host-', '__HTTP-', '__Host-Http-', '__secure-', '_Secure-', '__Secure', 'x']
const STEMS = ['better-auth.', 'Better-Auth.', 'better_auth.', 'better-auth', 'auth.', '']
const ENDS =
  'session_token session_token_multi-ada session_data session_data.0 session_data.12 session_data. account_data account_data.3 dont_remember admin_session theme session_tokens SESSION_TOKEN'.split(
    ' '
  )
const name = oneof(
  tuple(constantFrom(...PREFIXES), constantFrom(...STEMS), constantFrom(...ENDS)).map(parts => parts.join('')),
  constantFrom('theme', 'lang', 'better-auth.session_token', '__Secure-better-auth.session_token')
)
const blank = constantFrom('', '', '', ' ', '\t', '  ')
const equals = constantFrom('=', '=', '=', '=', '', ' = ', '==')

/** Better Auth 1.7: its cookies, and what it appends to their names. User agents ignore the case of `__Secure-`. */
function isOurs(written: string): boolean {
  const name = written.toLowerCase()
  const bare = ['__secure-', '__host-http-', '__host-', '__http-'].find(prefix => name.startsWith(prefix)) ?? ''
  const [stem, ...rest] = name.slice(bare.length).split('.')
  const [kind = '', part] = rest
  if (stem !== 'better-auth' || rest.length === 0) return false
  if (kind.startsWith('session_token_multi-')) return true
  if (rest.length === 1) {
    return ['session_token', 'session_data', 'account_data', 'dont_remember', 'admin_session'].includes(kind)
  }
  return rest.length === 2 && ['session_data', 'account_data'].includes(kind) && /^\d+$/.test(part ?? '')
}

const nameOf = (pair: string) => (pair.split('=')[0] ?? '').trim()

t.test('of a Cookie header, what is left is what the model leaves', async t => {
  const value = oneof(constantFrom('x.y', '', 'a=b', '"q; w"', 'é\xff'), string({ maxLength: 4 }))
  const pair = tuple(blank, name, equals, value, blank).map(parts => parts.join(''))
  const header = tuple(array(pair, { maxLength: 6 }), constantFrom('; ', ';', ' ; ', ';;')).map(([pairs, separator]) =>
    pairs.join(separator)
  )
  let cut = 0
  const agrees = property(header, header => {
    const pairs = header.split(';').map(pair => pair.trim())
    const left = pairs.filter(pair => !isOurs(nameOf(pair)))
    if (left.length < pairs.length) cut++
    const expected = left.length === pairs.length ? header : left.filter(pair => pair !== '').join('; ')
    return cookies.withoutOurs(header) === expected
  })

  t.doesNotThrow(() => assert(agrees, { numRuns: RUNS }))
  t.ok(cut > RUNS / 4, `${cut} were cut`)
})

t.test('no session cookie’s value is left, wherever it stands', async t => {
  const ours = name.filter(isOurs).map(name => `${name}=${SECRET}`)
  const others = tuple(name, constantFrom('1', 'a=b', '')).map(([name, value]) => `${name}=${value}`)
  const header = tuple(array(others, { maxLength: 3 }), ours, blank, array(oneof(ours, others), { maxLength: 3 })).map(
    ([before, own, blank, after]) => [...before, blank + own, ...after].join(';')
  )

  t.doesNotThrow(() =>
    assert(
      property(header, header => !cookies.withoutOurs(header).includes(SECRET)),
      { numRuns: RUNS }
    )
  )
})

/** RFC 6265bis section 5.6: what comes back in Cookie for a Set-Cookie line; null: nothing is stored. */
function sentBack(line: string): string | null {
  const [pair = ''] = line.split(';')
  const at = pair.indexOf('=')
  const [name, value] = at < 0 ? ['', pair.trim()] : [pair.slice(0, at).trim(), pair.slice(at + 1).trim()]
  if (name === '' && value === '') return null
  return name === '' ? value : `${name}=${value}`
}

t.test('a Set-Cookie that would come back as a session cookie is known for one, and no other is', async t => {
  const attributes = constantFrom('', '; Path=/', ';Secure', `; better-auth.session_token=x`)
  const start = constantFrom('', '', '', '=', ' = ', '\t', '==')
  const line = tuple(start, blank, name, equals, constantFrom('x', '', 'a=b'), attributes).map(parts => parts.join(''))
  let ours = 0
  const agrees = property(line, line => {
    const back = sentBack(line)
    // A nameless value may begin with another `=`; whoever reads it then is not for us to know.
    const isSession = back !== null && isOurs(nameOf(back.replace(/^[=\s]+/, '')))
    if (isSession) ours++
    return cookies.isSetBy(line) === isSession
  })

  t.doesNotThrow(() => assert(agrees, { numRuns: RUNS }))
  t.ok(ours > RUNS / 10 && ours < RUNS, `${ours} were session cookies`)
})
