import t from 'tap'
import { SessionCookies } from '../../../src/upstream/session-cookies.js'

const cookies = new SessionCookies('__Secure-better-auth.session_token')

const OURS = [
  'better-auth.session_token',
  '__Secure-better-auth.session_token',
  '__Host-better-auth.session_token',
  '__Host-Http-better-auth.session_token',
  '__Http-better-auth.session_token',
  '__secure-better-auth.session_token',
  'better-auth.session_data',
  'better-auth.session_data.0',
  'better-auth.session_data.11',
  'better-auth.account_data',
  'better-auth.account_data.1',
  'better-auth.dont_remember',
  'better-auth.admin_session',
  '__Secure-better-auth.session_token_multi-abc123',
  'Better-Auth.Session_Token'
]
const OTHERS = [
  'theme',
  'session_token',
  'better-auth',
  'better-auth.theme',
  'xbetter-auth.session_token',
  '__Secure-id',
  ''
]

t.test('every session cookie of Better Auth is cut out, in any prefix form (B11, B20)', async t => {
  for (const name of OURS) {
    t.equal(cookies.withoutOurs(`a=1; ${name}=x.y; b=2`), 'a=1; b=2', name)
    t.equal(cookies.withoutOurs(`${name}=x`), '', name)
    t.ok(cookies.isSetBy(`${name}=x; Path=/`), name)
  }
})

t.test('cookies of others stay', async t => {
  for (const name of OTHERS) {
    t.equal(cookies.withoutOurs(`${name}=x.y`), `${name}=x.y`, name)
    t.notOk(cookies.isSetBy(`${name}=x; Path=/`), name)
  }
})

t.test('a Cookie header without ours is the very same string, oddities included', async t => {
  for (const header of ['', ';', ' a=1;b=2 ;; c', 'a="x; y"', '=nameless', 'flag']) {
    t.equal(cookies.withoutOurs(header), header)
  }
})

t.test('blanks and missing values hide nothing', async t => {
  const hidden = ['\tbetter-auth.session_token = x', 'better-auth.session_token', ' ;better-auth.session_token=x;']
  for (const header of hidden) t.equal(cookies.withoutOurs(header), '', JSON.stringify(header))
})

t.test('a nameless Set-Cookie cannot plant a named cookie (session fixation)', async t => {
  for (const line of [
    '=better-auth.session_token=x; Path=/',
    ' = better-auth.session_token=x',
    'better-auth.session_token'
  ]) {
    t.ok(cookies.isSetBy(line), line)
  }
})

t.test('another prefix or another token name is known by the name Better Auth derives from it', async t => {
  const prefixed = new SessionCookies('__Secure-shop.session_token')
  const renamed = new SessionCookies('__Secure-sid')

  t.equal(
    prefixed.withoutOurs('shop.session_token=x; shop.session_data=y; better-auth.session_token=z'),
    'better-auth.session_token=z'
  )
  t.equal(renamed.withoutOurs('sid=x; __Secure-sid_multi-1=y; better-auth.session_data=z; side=1'), 'side=1')
})
