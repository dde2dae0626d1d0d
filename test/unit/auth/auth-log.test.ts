/** Better Auth's log lines carry nothing private (J04). */
import t from 'tap'
import { createAuthLogger, redact } from '../../../src/auth/auth-log.js'
import { capturingLog } from '../../support/log.js'

t.test('e-mails, queries and secrets are taken out, words stay', async t => {
  const cases: readonly (readonly [string, string])[] = [
    ['Sign-up attempt for existing email: ada@example.com', 'Sign-up attempt for existing email: [e-mail]'],
    ['Invalid callbackURL: https://evil.test/x?token=abc', 'Invalid callbackURL: https://evil.test/x?[query]'],
    ['session OXfw8wz5tsJIGXehZV2t6riAdmaqE5WU', 'session [secret]'],
    ['cookie OXfw8wz5tsJIGXehZV2t.1QBMV%2FyWw0DW10ckBMx8UOUH6%3D', 'cookie [secret]'],
    ['INTERNAL_SERVER_ERROR', 'INTERNAL_SERVER_ERROR'],
    ['User not found', 'User not found']
  ]

  for (const [text, expected] of cases) t.equal(redact(text), expected)
  t.ok(redact('x '.repeat(5000)).length <= 200)
})

t.test('an error is its name, its code and its frames, never its message', async t => {
  const { log, lines } = capturingLog()
  const cause = Object.assign(new Error('duplicate key (email)=(ada@example.com)'), { code: '57P01' })
  const error = new Error('Failed query: select 1 params: ada@example.com,OXfw8wz5tsJIGXehZV2t6riAdmaqE5WU', { cause })

  createAuthLogger(log).log?.('error', 'INTERNAL_SERVER_ERROR', error)

  const [line] = lines()
  t.match(line, { level: 50, betterAuth: 'INTERNAL_SERVER_ERROR', error: 'Error', code: '57P01' })
  t.notMatch(JSON.stringify(line), /ada|OXfw|Failed query/)
})

t.test('a refused request is no error of ours, and chatter is dropped', async t => {
  const { log, lines } = capturingLog()
  const logger = createAuthLogger(log)

  logger.log?.('error', 'Invalid origin: https://evil.test/?of=ada@example.com')
  logger.log?.('info', 'Sign-up attempt')

  t.strictSame(
    lines().map(line => line.level),
    [40]
  )
  t.notMatch(lines(), [{ betterAuth: /ada/ }])
})
