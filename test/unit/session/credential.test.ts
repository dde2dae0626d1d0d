/** What counts as proof, and that Better Auth's own verifier agrees. No sockets. */
import assert from 'node:assert/strict'
import { createEndpoint, serializeSignedCookie } from 'better-call'
import { array, asyncProperty, constantFrom, assert as forAll, string } from 'fast-check'
import t from 'tap'
import { createCredentialReader, type Credential, signToken } from '../../../src/session/credential.js'
import { shortest } from '../../support/shortest.js'

const NAME = 'better-auth.session_token'
const SECRET = 'a-secret-of-at-least-32-characters!'
const OLD_SECRET = 'the-secret-before-it-32-characters!'
const TOKEN = 'CPsaB6FEIxtuOmvdyIMhU0QtFmyh8FVJ'
const SIGNED = signToken(TOKEN, SECRET)
const ENCODED = encodeURIComponent(SIGNED)

const FORGED_COOKIE: Credential = { kind: 'forged', source: 'cookie' }
const FORGED_BEARER: Credential = { kind: 'forged', source: 'bearer' }
const NONE: Credential = { kind: 'none' }

const LIVE_COOKIE: Credential = { kind: 'token', source: 'cookie', token: TOKEN, secretIndex: 0, entry: null }
const LIVE_BEARER: Credential = { kind: 'token', source: 'bearer', token: TOKEN, secretIndex: 0, entry: null }

function readerFor(options: { name?: string; secrets?: string[]; unsigned?: boolean } = {}) {
  const secrets = (options.secrets ?? [SECRET]).map((value, i, all) => ({ version: all.length - i, value }))
  const read = createCredentialReader({
    cookieName: options.name ?? NAME,
    secrets,
    bearerUnsigned: options.unsigned ?? false
  })
  return {
    cookie: (cookie: string) => read({ headers: { cookie }, rawHeaders: ['Cookie', cookie] }),
    bearer: (authorization: string) =>
      read({ headers: { authorization }, rawHeaders: ['Authorization', authorization] }),
    read
  }
}

/** What Better Auth makes of the same Cookie header. */
const betterAuthReads = createEndpoint('/', { method: 'GET' }, async ctx => ctx.getSignedCookie(NAME, SECRET))

async function betterAuthToken(cookie: string): Promise<string | null> {
  const headers = new Headers()
  headers.set('cookie', cookie)
  return (await betterAuthReads({ headers })) || null
}

const { cookie, bearer } = readerFor()

t.test('the session cookie is taken as it was set, and unencoded, and quoted (C01, R36, R37)', async t => {
  for (const written of [ENCODED, SIGNED, `"${ENCODED}"`, `"${SIGNED}"`, ` ${ENCODED} `, `\t${ENCODED}`]) {
    t.strictSame(cookie(`${NAME}=${written}`), LIVE_COOKIE, written)
    t.strictSame(cookie(`theme=dark; ${NAME}=${written}; z=1`), LIVE_COOKIE, written)
    t.equal(await betterAuthToken(`${NAME}=${written}`), TOKEN, `Better Auth agrees on ${written}`)
  }
})

t.test('what is not exactly one signed token is forged, never an error (C03, C04, C05, C14, C17)', async t => {
  const signature = SIGNED.slice(TOKEN.length + 1)
  const otherSignature = signToken('another', SECRET).slice('another.'.length)
  const written = {
    'encoded twice': encodeURIComponent(ENCODED),
    'no signature': TOKEN,
    'signature of another token': `${TOKEN}.${otherSignature}`,
    'last byte changed': `${TOKEN}.${signature.slice(0, -2)}${signature.at(-2) === 'A' ? 'E' : 'A'}=`,
    'signature cut by one': `${TOKEN}.${signature.slice(0, -1)}`,
    'signature empty': `${TOKEN}.`,
    'token empty': `.${signature}`,
    'a signed empty token': signToken('', SECRET),
    'only a dot': '.',
    'other secret': signToken(TOKEN, 'another-secret-of-32-characters!!!!'),
    'bad escape': `${TOKEN}%zz.${signature}`,
    'lone percent': '%',
    'encoded NUL': `%00${ENCODED}`,
    'a signed NUL': encodeURIComponent(signToken('a\0b', SECRET)),
    'a signed newline': encodeURIComponent(signToken('a\nb', SECRET)),
    'a signed blank': encodeURIComponent(signToken('a b', SECRET)),
    'a signed letter beyond ASCII': encodeURIComponent(signToken('ä', SECRET)),
    'invalid UTF-8': `%c3%28.${encodeURIComponent(signature)}`,
    'raw high bytes': `\x80\x81.${signature}`,
    DEL: `\x7f${SIGNED}`,
    'an unclosed quote': `"${SIGNED}x`,
    'only a quote': '"'
  }
  for (const [what, value] of Object.entries(written)) {
    t.strictSame(cookie(`${NAME}=${value}`), FORGED_COOKIE, what)
    if (!value.startsWith('"')) t.strictSame(bearer(`Bearer ${value}`), FORGED_BEARER, `${what}, as bearer`)
  }
})

t.test('one signature has one spelling: every base64 alias of it is refused (C07)', async t => {
  const token = findToken(signature => /\+/.test(signature) && /\//.test(signature))
  const signature = signToken(token, SECRET).slice(token.length + 1)
  const lastDigit = signature.at(-2) as string
  const alias = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
  const aliases = [
    signature.replaceAll('+', '-').replaceAll('/', '_'),
    signature.slice(0, -1),
    `${signature}=`,
    `${signature.slice(0, -2)}${alias[alias.indexOf(lastDigit) + 1]}=`,
    `${signature.slice(0, 20)} ${signature.slice(20)}`,
    `${signature.slice(0, 20)}\n${signature.slice(20)}`,
    ` ${signature}`
  ]

  t.match(cookie(`${NAME}=${token}.${signature}`), { kind: 'token', token })
  for (const alias of aliases) t.strictSame(cookie(`${NAME}=${token}.${alias}`), FORGED_COOKIE, JSON.stringify(alias))
})

t.test('of duplicates the first counts, as in Better Auth (C08)', async t => {
  const good = `${NAME}=${ENCODED}`
  const bad = `${NAME}=${TOKEN}.forged`

  t.strictSame(cookie(`${good}; ${bad}`), LIVE_COOKIE)
  t.equal(await betterAuthToken(`${good}; ${bad}`), TOKEN)
  t.strictSame(cookie(`${bad}; ${good}`), FORGED_COOKIE)
  t.equal(await betterAuthToken(`${bad}; ${good}`), null)
})

t.test('only the configured name counts, to the byte (C10, C11, C12)', async t => {
  const secure = readerFor({ name: `__Secure-${NAME}` })
  const absent = [
    `__Secure-${NAME}=${ENCODED}`,
    `${NAME.toUpperCase()}=${ENCODED}`,
    `x${NAME}=${ENCODED}`,
    `${NAME}2=${ENCODED}`,
    `other=${NAME}=${ENCODED}`,
    `=${ENCODED}`,
    NAME,
    `${NAME};`,
    `${NAME}=`,
    ''
  ]
  for (const header of absent) t.strictSame(cookie(header), NONE, header)

  t.strictSame(secure.cookie(`${NAME}=${ENCODED}`), NONE, 'no way back to the weaker name')
  t.strictSame(secure.cookie(`${NAME}=${TOKEN}.forged; __Secure-${NAME}=${ENCODED}`), LIVE_COOKIE)
  t.strictSame(cookie(`${NAME}; ${NAME}=${ENCODED}`), LIVE_COOKIE, 'a name without a value is no cookie')
})

t.test('a name that other parsers would trim is not passed over in favour of a second cookie (C08, C12)', async t => {
  for (const odd of [`${NAME} =x`, `\u00a0${NAME}=x`, `\x0b${NAME}=x`, `${NAME}\u00a0=x`]) {
    t.strictSame(cookie(`${odd}; ${NAME}=${ENCODED}`), FORGED_COOKIE, JSON.stringify(odd))
    t.equal(
      await betterAuthToken(`${odd}; ${NAME}=${ENCODED}`).catch(() => null),
      null,
      'Better Auth takes the odd one'
    )
  }
})

t.test('no header is too long or too strange to be read quickly (C15)', async t => {
  const headers = {
    '4 KB value': `${NAME}=${'a'.repeat(4096)}`,
    '15 KB value': `${NAME}=${'%41'.repeat(5000)}`,
    'just too long, well signed': `${NAME}=${signToken('a'.repeat(500), SECRET)}`,
    '200 cookies': `${Array.from({ length: 200 }, (_, i) => `c${i}=v`).join('; ')}; ${NAME}=x`,
    '10,000 semicolons': `${';'.repeat(10_000)}${NAME}=x`,
    'the name 600 times': `${NAME.repeat(600)}=x`,
    'the name and blanks': `${`${NAME} `.repeat(600)}`,
    blanks: `${' '.repeat(15_000)}${NAME}=x`
  }
  for (const [what, header] of Object.entries(headers)) {
    t.not(cookie(header).kind, 'token', what)
    t.ok(shortest(() => cookie(header)) < 10, `${what} within 10 ms`)
  }
})

t.test('what was verified once answers for the very same header only, however long it is', async t => {
  const { cookie } = readerFor()
  const forged = `${ENCODED.slice(0, -5)}AAA%3D`
  for (const padding of ['', `theme=dark; `, `a=${'x'.repeat(1900)}; `, `a=${'x'.repeat(8000)}; `]) {
    for (let i = 0; i < 3; i++) t.same(cookie(`${padding}${NAME}=${ENCODED}`), LIVE_COOKIE)
    t.same(cookie(`${padding}${NAME}=${forged}`), FORGED_COOKIE)
    t.same(cookie(`${NAME}=${forged}; ${padding}${NAME}=${ENCODED}`), FORGED_COOKIE)
    t.same(cookie(`${padding}${NAME}=${ENCODED}`), LIVE_COOKIE)
  }
  for (let i = 0; i < 25_000; i++) {
    const header = `n=${i}; ${NAME}=${ENCODED}`
    if (cookie(header).kind !== 'token' || cookie(`${header}x`).kind !== 'forged') t.fail(header)
  }
})

t.test('bearer: signed, in one form; anything else is refused (C19, R38)', async t => {
  const cases: [string, Credential][] = [
    [`Bearer ${SIGNED}`, LIVE_BEARER],
    [`bearer ${SIGNED}`, LIVE_BEARER],
    [`BEARER ${ENCODED}`, LIVE_BEARER],
    [`Bearer  ${SIGNED}`, FORGED_BEARER],
    [`Bearer\t${SIGNED}`, NONE],
    [`Bearer ${TOKEN}`, FORGED_BEARER],
    ['Bearer ', NONE],
    ['Bearer', NONE],
    ['', NONE],
    [`Basic ${SIGNED}`, NONE],
    [SIGNED, NONE]
  ]
  for (const [header, expected] of cases) t.strictSame(bearer(header), expected, header)
})

t.test('two Authorization lines are refused, although Node shows only the first (C19)', async t => {
  const { read } = readerFor()
  const rawHeaders = ['Host', 'x', 'AUTHORIZATION', `Bearer ${SIGNED}`, 'authorization', 'Bearer other']

  t.strictSame(read({ headers: { authorization: `Bearer ${SIGNED}` }, rawHeaders }), FORGED_BEARER)
})

t.test('an unsigned bearer token is taken only where that is switched on (C19, R38)', async t => {
  const unsigned = readerFor({ unsigned: true })

  t.strictSame(unsigned.bearer(`Bearer ${TOKEN}`), {
    kind: 'token',
    source: 'bearer',
    token: TOKEN,
    secretIndex: null,
    entry: null
  })
  t.strictSame(unsigned.bearer(`Bearer ${SIGNED}`), LIVE_BEARER)
  for (const bad of [`${TOKEN}.forged`, 'a\u00e4', 'a b', 'a'.repeat(513), `"${TOKEN}" `]) {
    t.strictSame(unsigned.bearer(`Bearer ${bad}`), FORGED_BEARER, bad.slice(0, 40))
  }
  t.strictSame(unsigned.cookie(`${NAME}=${TOKEN}`), FORGED_COOKIE, 'never as a cookie')
})

t.test('a cookie wins over a bearer token, a bad one too (C20)', async t => {
  const { read } = readerFor()
  const authorization = `Bearer ${signToken('another', SECRET)}`
  const carry = (cookie: string) => read({ headers: { cookie, authorization }, rawHeaders: [] })

  t.strictSame(carry(`${NAME}=${ENCODED}`), LIVE_COOKIE)
  t.strictSame(carry(`${NAME}=${TOKEN}.forged`), FORGED_COOKIE)
  t.match(carry(`${NAME}=`), { source: 'bearer', token: 'another' }, 'a cookie that was emptied is none')
  t.match(carry('theme=dark'), { source: 'bearer', token: 'another' })
})

t.test('a rotated secret goes on verifying and says which one it was, until it is taken away (C24)', async t => {
  const old = encodeURIComponent(signToken(TOKEN, OLD_SECRET))
  const both = readerFor({ secrets: [SECRET, OLD_SECRET] })

  t.match(both.cookie(`${NAME}=${ENCODED}`), { token: TOKEN, secretIndex: 0 })
  t.match(both.cookie(`${NAME}=${old}`), { token: TOKEN, secretIndex: 1 })
  t.strictSame(cookie(`${NAME}=${old}`), FORGED_COOKIE)
})

t.test('session_data and the other cookies of Better Auth prove nothing (C22, R43)', async t => {
  const others = ['session_data', 'session_data.0', 'dont_remember', 'session_token_multi-x', 'admin_session']
  for (const other of others) t.strictSame(cookie(`better-auth.${other}=${ENCODED}`), NONE, other)
})

t.test('every cookie that Better Auth signs is accepted, and ours are signed like them', async t => {
  const alphabet = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~']
  const tokens = string({ unit: constantFrom(...alphabet), minLength: 1, maxLength: 64 })
  await forAll(
    asyncProperty(tokens, async token => {
      const line = await serializeSignedCookie(NAME, token, SECRET)
      t.strictSame(cookie(line), { kind: 'token', source: 'cookie', token, secretIndex: 0, entry: null })
      t.equal(
        decodeURIComponent(line.slice(NAME.length + 1)),
        signToken(token, SECRET),
        'and ours are signed like them'
      )
    }),
    { numRuns: 200 }
  )
})

t.test(
  'whatever the Cookie header, nothing is accepted that Better Auth refuses or reads as another token',
  async t => {
    const pieces = constantFrom(
      NAME,
      '=',
      ';',
      '; ',
      ' ',
      '"',
      '%',
      '%20',
      '\t',
      '\u00a0',
      'x',
      '.',
      TOKEN,
      SIGNED,
      ENCODED,
      signToken('second', SECRET),
      `${NAME}=${ENCODED}`,
      `${NAME}=${signToken('third', SECRET)}`
    )
    let accepted = 0
    await forAll(
      asyncProperty(array(pieces, { maxLength: 12 }), async parts => {
        const header = parts.join('')
        const credential = cookie(header)
        if (credential.kind !== 'token') return
        accepted++
        assert.equal(await betterAuthToken(header), credential.token)
      }),
      { numRuns: 5000 }
    )
    t.ok(accepted > 100, `${accepted} headers were accepted`)
  }
)

function findToken(fits: (signature: string) => boolean): string {
  for (let i = 0; ; i++) {
    const token = `token${i}`
    if (fits(signToken(token, SECRET).slice(token.length + 1))) return token
  }
}
