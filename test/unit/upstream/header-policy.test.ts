/** Any headers at all, in both directions, against models written from contract section 5 without regard to speed. */
import {
  type Arbitrary,
  array,
  assert,
  boolean,
  constantFrom,
  oneof,
  property,
  record,
  string,
  tuple
} from 'fast-check'
import t from 'tap'
import { type RequestFacts, requestFields } from '../../../src/upstream/request-headers.js'
import { type AnswerPolicy, answerHead } from '../../../src/upstream/response-headers.js'
import { SessionCookies } from '../../../src/upstream/session-cookies.js'
import { fieldsOf } from '../../support/field-lines.js'
import { RUNS } from '../../support/runs.js'

type Header = readonly [name: string, value: string]

const sessionCookies = new SessionCookies('better-auth.session_token')
const token = string({ unit: constantFrom('x', 'X', '-', '_', '.', 'u', 's', 'e', 'r', 'i', 'd', '1'), minLength: 1 })

/** Names with a meaning, now and then in another spelling, and names without one. */
function nameOf(known: string): Arbitrary<string> {
  const names = constantFrom(...known.split(' '))
  const spellings = tuple(names, constantFrom('_', '.', '-'), boolean()).map(([name, sign, shout]) => {
    const respelt = name.replaceAll('-', sign)
    return shout ? respelt.toUpperCase() : respelt
  })
  return oneof({ weight: 5, arbitrary: names }, { weight: 2, arbitrary: spellings }, { weight: 1, arbitrary: token })
}

/** As CGI, WSGI and PHP read a name. */
const loosely = (name: string) => name.toLowerCase().replaceAll(/[^a-z0-9]/g, '-')

const RESERVED = /^x-(user|session|organization|gateway|internal)-/
const HOP_BY_HOP =
  'connection keep-alive proxy-connection proxy-authenticate proxy-authentication-info proxy-authorization te trailer transfer-encoding upgrade http2-settings'.split(
    ' '
  )

function listed(headers: readonly Header[]): string[] {
  const untouchable = ['content-length', 'content-type', 'content-encoding', 'cookie', 'authorization']
  return headers
    .filter(([name]) => name.toLowerCase() === 'connection')
    .flatMap(([, value]) => value.split(',').map(option => option.trim().toLowerCase()))
    .filter(option => !untouchable.includes(option))
}

const REQUEST_NAMES =
  'Accept Connection Cookie X-User-ID X-Session-Id X-Gateway-A X-Internal-Key X-Envoy-Original-Path X-Forwarded-For Forwarded X-Real-IP X-Forwarded-Port X-Forwarded-User TE Transfer-Encoding Content-Length Content-Type X-A X-B X-Original-URL X-Rewrite-URL X-HTTP-Method-Override Authorization Expect X-Organization-ID X-Users Proxy Host traceparent X-Request-ID CDN-Loop Upgrade'
const ALWAYS =
  'x-forwarded-proto https x-forwarded-host gw.test cdn-loop gw.example x-request-id request-1 traceparent trace-1'
const OUR_COOKIES = 'a=1; better-auth.session_token=SECRET; b=2'

const request = record({
  headers: array(
    tuple(
      nameOf(REQUEST_NAMES),
      constantFrom('1', 'keep-alive', 'close', 'x-a', 'X-B, content-length', 'x-user-id,x-a', 'a=1; b=2', OUR_COOKIES)
    ),
    { maxLength: 12 }
  ),
  trustedPeer: boolean(),
  dropAuthorization: boolean(),
  authorization: constantFrom(null, 'Bearer internal'),
  forwardedFor: constantFrom('', '9.9.9.9'),
  identity: constantFrom([], ['X-User-ID', 'ada', 'X-User-Roles', 'user']),
  assertion: constantFrom(null, 'jwt'),
  tracestate: constantFrom(null, 'a=1')
})

function factsOf({ headers, ...facts }: { headers: Header[] } & Partial<RequestFacts>): RequestFacts {
  return {
    trustedPeer: false,
    peerAddress: '192.0.2.7',
    forwardedFor: '',
    host: 'gw.test',
    proto: 'https',
    ourName: 'gw.example',
    requestId: 'request-1',
    traceparent: 'trace-1',
    tracestate: null,
    sessionCookies,
    dropAuthorization: false,
    authorization: null,
    identity: [],
    assertion: null,
    ...facts,
    rawHeaders: headers.flat()
  }
}

function passesUp([name]: Header, facts: RequestFacts): boolean {
  const [plain, lower] = [loosely(name), name.toLowerCase()]
  if (RESERVED.test(plain) || HOP_BY_HOP.includes(plain) || plain.startsWith('x-envoy-')) return false
  if (/^(expect|proxy|host|traceparent|tracestate|x-request-id|x-forwarded-(for|host|proto))$/.test(plain)) return false
  if (/^x-(original-(url|uri|method|host)|rewrite-url|http-method(-override)?|method-override)$/.test(plain))
    return false
  if (/^x-forwarded-(user|email|groups|preferred-username|access-token)$/.test(plain)) return false
  // Respelt, a name with a meaning has it for some servers only.
  if (['cookie', 'authorization', 'content-length'].includes(plain) && plain !== lower) return false
  if (plain === 'authorization') return !facts.dropAuthorization && facts.authorization === null
  const aboutClient = /^(forwarded|x-real-ip|x-forwarded-.*)$/.test(plain)
  return !aboutClient || (facts.trustedPeer && plain === lower)
}

function requestModel(headers: readonly Header[], facts: RequestFacts): string {
  const gone = listed(headers)
  const isCookie = ([name]: Header) => name.toLowerCase() === 'cookie'
  const passing = headers.filter(header => passesUp(header, facts) && !isCookie(header))
  const kept = passing.filter(([name]) => !gone.includes(name.toLowerCase()))
  const cookies = headers.filter(isCookie).map(([, value]) => value.replace(' better-auth.session_token=SECRET;', ''))
  return fieldsOf([
    ...kept.flat(),
    ...(cookies.length === 0 ? [] : ['cookie', cookies.join('; ')]),
    'x-forwarded-for',
    facts.forwardedFor === '' ? '192.0.2.7' : '9.9.9.9, 192.0.2.7',
    ...ALWAYS.split(' '),
    ...(facts.tracestate === null ? [] : ['tracestate', facts.tracestate]),
    ...(facts.authorization === null ? [] : ['authorization', facts.authorization]),
    ...facts.identity,
    ...(facts.assertion === null ? [] : ['x-gateway-assertion', facts.assertion])
  ])
}

t.test('what an upstream gets is what the model gives it', async t => {
  const agrees = property(request, each => {
    const facts = factsOf(each)
    return requestFields(facts) === requestModel(each.headers, facts)
  })

  t.doesNotThrow(() => assert(agrees, { numRuns: RUNS }))
})

const ANSWER_NAMES =
  'Content-Type Connection Set-Cookie X-User-ID X-Gateway-A X-Internal-Node Keep-Alive Proxy-Authenticate Trailer Upgrade TE X-Secret Server X-Powered-By X-AspNet-Version X-Request-ID Cache-Control CDN-Cache-Control Surrogate-Control Access-Control-Allow-Origin Content-Length Location ETag Vary X-A'

const answer = record({
  headers: array(
    tuple(
      nameOf(ANSWER_NAMES),
      constantFrom('1', 'close', 'x-a, X-Secret', 'etag', 'theme=dark', 'better-auth.session_token=x', '/7', '//up:1/7')
    ),
    { maxLength: 10 }
  ),
  status: constantFrom(200, 204, 205, 302, 304),
  authenticated: boolean(),
  carriesCredential: boolean(),
  ownsCors: boolean()
})

function passesDown([name, value]: Header, policy: AnswerPolicy): boolean {
  const [plain, lower] = [loosely(name), name.toLowerCase()]
  if (RESERVED.test(plain) || HOP_BY_HOP.includes(plain)) return false
  if (['server', 'x-powered-by', 'x-aspnet-version', 'x-request-id'].includes(plain)) return false
  if (/^(set-cookie|content-length|cache-control|location)$/.test(plain) && plain !== lower) return false
  if (plain === 'set-cookie') return !value.startsWith('better-auth.')
  if (plain.startsWith('access-control-')) return !policy.ownsCors
  return !(policy.carriesCredential && /^(surrogate-control|(.*cdn-)?cache-control)$/.test(plain))
}

function answerModel(headers: readonly Header[], status: number, policy: AnswerPolicy): string[] {
  const gone = listed(headers)
  const says = (wanted: string) => headers.some(([name]) => name.toLowerCase() === wanted)
  const kept = headers
    .filter(header => passesDown(header, policy) && !gone.includes(header[0].toLowerCase()))
    .filter(([name]) => !([204, 205].includes(status) && name.toLowerCase() === 'content-length'))
    .map(([name, value]) => [name, name.toLowerCase() === 'location' ? value.replace('//up:1/', '/') : value])
  const forOne = policy.authenticated && !says('cache-control')
  return [
    ...kept.flat(),
    ...(policy.carriesCredential ? ['cache-control', 'no-store'] : []),
    ...(!policy.carriesCredential && forOne ? ['cache-control', 'private', 'vary', 'Cookie, Authorization'] : []),
    ...(status === 205 ? ['content-length', '0'] : []),
    'x-request-id',
    'request-1'
  ]
}

t.test('what a client gets is what the model gives it', async t => {
  const agrees = property(answer, ({ headers, status, ...flags }) => {
    const scope = { ownAuthorities: new Set(['up:1']), stripPrefix: null, routePath: '/*' }
    const policy = { added: ['x-request-id', 'request-1'], sessionCookies, ...scope, ...flags }
    const passed = answerHead(status, headers.flat(), policy).headers
    return JSON.stringify(passed) === JSON.stringify(answerModel(headers, status, policy))
  })

  t.doesNotThrow(() => assert(agrees, { numRuns: RUNS }))
})
