import { errors } from 'undici'
import t from 'tap'
import { GatewayError } from '../../../src/errors.js'
import { lostConnection, overloaded, timedOut, upstreamError } from '../../../src/upstream/upstream-error.js'

function systemError(code: string): Error {
  return Object.assign(new Error(`connect ${code} 10.1.2.3:8000`), { code })
}

t.test('each failure has the code a client can act on (G20, G22, G24)', async t => {
  const cases: [Error, string, number][] = [
    [systemError('ECONNREFUSED'), 'UPSTREAM_UNREACHABLE', 502],
    [systemError('ECONNRESET'), 'UPSTREAM_UNREACHABLE', 502],
    [systemError('ENOTFOUND'), 'UPSTREAM_UNREACHABLE', 502],
    [systemError('EAI_AGAIN'), 'UPSTREAM_UNREACHABLE', 502],
    [systemError('EPIPE'), 'UPSTREAM_UNREACHABLE', 502],
    [systemError('DEPTH_ZERO_SELF_SIGNED_CERT'), 'UPSTREAM_UNREACHABLE', 502],
    [systemError('ERR_TLS_CERT_ALTNAME_INVALID'), 'UPSTREAM_UNREACHABLE', 502],
    [lostConnection() as Error, 'UPSTREAM_UNREACHABLE', 502],
    [systemError('ERR_INVALID_CHAR'), 'UPSTREAM_BAD_RESPONSE', 502],
    [new errors.ConnectTimeoutError(), 'UPSTREAM_TIMEOUT', 504],
    [timedOut('headers_timeout'), 'UPSTREAM_TIMEOUT', 504],
    [timedOut('body_timeout'), 'UPSTREAM_TIMEOUT', 504],
    [systemError('ETIMEDOUT'), 'UPSTREAM_TIMEOUT', 504]
  ]
  for (const [error, code, statusCode] of cases) t.match(upstreamError(error), { code, statusCode }, error.message)
})

t.test('the client’s sentence holds nothing of the cause; the log gets a word for it (J)', async t => {
  const error = upstreamError(systemError('ECONNREFUSED'))

  t.notMatch(error.message, /10\.1\.2\.3|refused/i)
  t.equal(error.reason, 'econnrefused')
})

t.test('what is no error object is still an upstream failure', async t => {
  t.match(upstreamError(undefined), { code: 'UPSTREAM_UNREACHABLE', reason: 'unknown' })
})

t.test('our own refusals pass unchanged', async t => {
  const tooLarge = new GatewayError('BODY_TOO_LARGE')

  t.equal(upstreamError(tooLarge), tooLarge)
  t.match(overloaded('queue_full'), { code: 'UPSTREAM_OVERLOADED', statusCode: 503, headers: { 'retry-after': '1' } })
})
