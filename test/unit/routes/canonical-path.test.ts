/** One spelling per path, or none: by table, and against a model that decodes bytes instead of scanning text. */
import * as fc from 'fast-check'
import t from 'tap'
import { canonicalPath } from '../../../src/routes/canonical-path.js'
import { RUNS } from '../../support/runs.js'
import { shortest } from '../../support/shortest.js'

t.test('a path with one reading comes out as it is, with its query untouched (A01)', async t => {
  for (const url of [
    '/',
    '/api/a/x',
    '/api/a/',
    '/.well-known/x',
    '/a/.b/...',
    "/a-._~!$&'()*+,=:@",
    '/caf%C3%A9',
    '/a%20b'
  ]) {
    t.strictSame(canonicalPath(url), { path: url, search: '' }, url)
    t.strictSame(canonicalPath(`${url}?a=/../%2F&b=|`), { path: url, search: '?a=/../%2F&b=|' }, `${url} with a query`)
  }
})

t.test('escapes of unreserved characters are decoded, others get capitals (A18)', async t => {
  t.equal(canonicalPath('/api/a/%61dmin')?.path, '/api/a/admin')
  t.equal(canonicalPath('/%7euser/%41%2D%2e%5F')?.path, '/~user/A-._')
  t.equal(canonicalPath('/%e2%82%ac/%3f%23%25')?.path, '/%E2%82%AC/%3F%23%25')
  t.equal(canonicalPath('/%25ab/%25zz')?.path, '/%25ab/%25zz', 'an encoded percent sign that hides nothing')
})

const AMBIGUOUS = {
  'dot segments, in every encoding (A02, A19)': [
    '/api/a/../b/x',
    '/..',
    '/.',
    '/a/.',
    '/a/..',
    '/./a',
    '/api/a/./admin',
    '/a/%2e%2e/b',
    '/a/%2E./b',
    '/a/.%2e',
    '/api/auth/../a/x',
    '/api/auth/%2e%2e/a/x'
  ],
  'backslashes (A05)': ['/api/a/..\\b', '/api/a/%5c..%5cb', '/api/a\\x', '/a%5C'],
  'empty segments (A09, A10)': ['//', '//api/a/x', '/api//a/x', '/api/a//x', '/a//'],
  'control bytes (A12)': ['/api/a%00', '/api/a%0a', '/a%1F', '/a%7f', '/a\u0000', '/a\t', '/a\u007f', '/a\n'],
  'escapes that are none, or no UTF-8 (A13)': [
    '/api/a/%zz',
    '/api/a/%',
    '/a/%4',
    '/api/a/%c0%ae%c0%ae/',
    '/api/a/%ff',
    '/%ed%a0%80',
    '/%e2%82',
    '/%c3x',
    '/%80'
  ],
  'fragments (A15)': ['/api/a/admin#x', '/public#/../api/a', '/a?b#c'],
  'path parameters (A18)': ['/api/a/admin;x=1', '/a;', '/a%3b', '/a/..;/b', '/a%3Bx'],
  'characters outside RFC 3986 (A29)': [
    '/api/a/é',
    '/a\u0080',
    '/a b',
    '/a"',
    '/a<',
    '/a>',
    '/a^',
    '/a`',
    '/a{',
    '/a|',
    '/a}',
    '/a[',
    '/a]',
    '/\u{1F600}'
  ],
  'slashes in an escape': ['/a%2fb', '/a%2F'],
  'the same one decoding later': [
    '/a%252e%252e/b',
    '/a%252f',
    '/a%255C',
    '/a%2500',
    '/a%250a',
    '/a%253b',
    '/a%25252e',
    '/a%25%32%65',
    '/a%25%32f'
  ],
  'targets that are no path': ['', 'a', '*', '?a', 'http://gw.test/a', '\\a', '%2fa'],
  'queries no request target may have': ['/a?b c', '/a?\u0000', '/a?é', '/a?\t', '/a?\u007f']
}

for (const [what, urls] of Object.entries(AMBIGUOUS)) {
  t.test(`refused: ${what}`, async t => {
    for (const url of urls) t.equal(canonicalPath(url), null, JSON.stringify(url))
  })
}

t.test('a path has at most 8192 characters, its query any number (A28)', async t => {
  t.ok(canonicalPath(`/${'a'.repeat(8191)}?${'q'.repeat(20_000)}`))
  t.equal(canonicalPath(`/${'a'.repeat(8192)}`), null)
})

t.test('4,000 segments take no longer than they must (A28)', async t => {
  const [allowed, refused] = ['/a'.repeat(4000), `${'/%2e'.repeat(2000)}/x`]

  t.ok(canonicalPath(allowed))
  t.equal(canonicalPath(refused), null)
  t.ok(shortest(() => [canonicalPath(allowed), canonicalPath(refused)]) < 50)
})

/** The same rules, by decoding: null for what is refused. */
function model(url: string): string | null {
  const [, path = '', query = ''] = /^([^?]*)(\?.*)?$/s.exec(url) ?? []
  if (path.length > 8192 || !/^[\x21\x22\x24-\x7e]*$/.test(query)) return null
  if (!/^(\/([A-Za-z0-9\-._~!$&'()*+,=:@]|%[0-9A-Fa-f]{2})*)+$/.test(path)) return null
  const segments = path.slice(1).split('/')
  if (segments.slice(0, -1).includes('')) return null
  const canonical = segments.map(canonicalSegment)
  return canonical.includes(null) ? null : `/${canonical.join('/')}${query}`
}

function canonicalSegment(segment: string): string | null {
  const tokens = segment.match(/%..|./g) ?? []
  const bytes = tokens.map(token => (token.length === 3 ? Number.parseInt(token.slice(1), 16) : token.charCodeAt(0)))
  const text = utf8(bytes)
  if (text === null || text === '.' || text === '..' || isHarmful(text)) return null
  for (const [, hex = ''] of text.matchAll(/%([0-9a-f]{2})/gi)) {
    const hidden = String.fromCharCode(Number.parseInt(hex, 16))
    if (isHarmful(hidden) || hidden === '.' || hidden === '%') return null
  }
  return tokens
    .map((token, index) => {
      const character = String.fromCharCode(bytes[index] ?? 0)
      return token.length === 1 || /[\w.~-]/.test(character) ? character : token.toUpperCase()
    })
    .join('')
}

function isHarmful(text: string): boolean {
  return [...text].some(character => character < ' ' || '\u007f/\\;'.includes(character))
}

function utf8(bytes: readonly number[]): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Uint8Array.from(bytes))
  } catch {
    return null
  }
}

const byte = fc.integer({ min: 0, max: 255 }).map(value => `%${value.toString(16).padStart(2, '0')}`)
const fragment = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom('/', 'a', 'Z', '9', '.', '-', 'api', '/x', '2e', '5C') },
  {
    weight: 3,
    arbitrary: fc.constantFrom(
      '%2e',
      '%2E',
      '%61',
      '%5f',
      '%25',
      '%32',
      '%20',
      '%3f',
      '%c3%a9',
      '%E2%82%AC',
      '%f0%9f%98%80'
    )
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      '..',
      '//',
      '%2f',
      '%5c',
      '%3B',
      '%00',
      '%ff',
      '%c0%ae',
      '%',
      '%4',
      ';',
      '#',
      '\\',
      ' ',
      'é',
      '?',
      '?a=b',
      '\t'
    )
  },
  { weight: 1, arbitrary: byte },
  { weight: 1, arbitrary: fc.string({ maxLength: 2 }) }
)
const url = fc.array(fragment, { maxLength: 7 }).map(parts => `/${parts.join('')}`)

t.test('any target is read as the model reads it, and reading twice changes nothing', async t => {
  let accepted = 0
  fc.assert(
    fc.property(url, raw => {
      const target = canonicalPath(raw)
      const joined = target === null ? null : `${target.path}${target.search}`
      if (joined !== model(raw)) throw new Error(`${JSON.stringify(raw)}: ${joined}, model: ${model(raw)}`)
      if (target === null) return
      accepted++
      const again = canonicalPath(`${target.path}${target.search}`)
      if (again?.path !== target.path || again.search !== target.search) throw new Error(`${raw} is not stable`)
    }),
    { numRuns: RUNS }
  )

  t.ok(accepted > RUNS / 4 && accepted < RUNS * 0.9, `${accepted} accepted: both outcomes are exercised`)
})
