import t from 'tap'
import { changeSince, familyOf, fingerprintOf } from '../../../src/session/fingerprint.js'
import { type FingerprintDecision, FingerprintGuard } from '../../../src/session/fingerprint-guard.js'
import { aSession } from '../../support/sessions.js'

const CHROME = 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36'
const FIREFOX = 'Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0'
const SAFARI =
  'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Safari/605.1.15'
const IPHONE = 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)'

t.test('the family of a browser, not what it claims to be compatible with', async t => {
  for (const [agent, family] of [
    [CHROME, 'chrome'],
    [`${CHROME} Edg/142.0.0.0`, 'edge'],
    [`${CHROME} OPR/120.0.0.0`, 'opera'],
    [`${CHROME} Vivaldi/7.5`, 'vivaldi'],
    [CHROME.replace('Chrome/', 'SamsungBrowser/29.0 Chrome/'), 'samsung'],
    [CHROME.replace('Chrome/', 'Slack/4.45 Chrome/').replace(' Safari', ' Electron/37.2 Safari'), 'electron'],
    [CHROME.replace('Chrome/', 'HeadlessChrome/'), 'headless-chrome'],
    [FIREFOX, 'firefox'],
    [SAFARI, 'safari'],
    [`${IPHONE} Version/18.5 Mobile/15E148 Safari/604.1`, 'safari'],
    [`${IPHONE} CriOS/142.0 Mobile/15E148 Safari/604.1`, 'chrome'],
    [`${IPHONE} FxiOS/145.0 Mobile/15E148 Safari/605.1.15`, 'firefox'],
    [`${IPHONE} EdgiOS/142.0 Version/18.0 Mobile/15E148 Safari/604.1`, 'edge'],
    [`${IPHONE} Mobile/15E148`, 'webkit'],
    ['Mozilla/5.0 (Windows NT 10.0; WOW64; Trident/7.0; rv:11.0) like Gecko', 'ie'],
    ['curl/8.5.0', 'curl'],
    ['python-requests/2.32.3', 'python-requests'],
    ['okhttp/5.1.0', 'okhttp'],
    ['MyApp/3 (build 77)', 'myapp'],
    ['node', 'node'],
    ['', 'none'],
    ['\u0001 "quotes" <script>', 'other'],
    [`${'x'.repeat(100)}/1`, 'x'.repeat(32)]
  ] as const) {
    t.equal(familyOf(agent), family, agent)
  }
})

t.test('a newer version, another device and "request desktop site" are the same browser', async t => {
  const began = fingerprintOf(CHROME, '203.0.113.7') ?? ''
  for (const agent of [
    CHROME.replace('142', '150'),
    CHROME.replace('X11; Linux x86_64', 'Windows NT 10.0; Win64; x64'),
    CHROME.replace('X11; Linux x86_64', 'Linux; Android 10; K').replace(' Safari', ' Mobile Safari')
  ]) {
    t.equal(changeSince(began, agent, '198.51.100.1'), null, agent)
  }
})

t.test('networks: /24, or /48 of IPv6 however it is written; what was not recorded is not compared', async t => {
  for (const [address, fingerprint] of [
    ['203.0.113.7', 'firefox 203.0.113'],
    ['203.0.113.7/32', 'firefox 203.0.113'],
    ['::ffff:203.0.113.7', 'firefox 203.0.113'],
    ['2001:db8:1:2::7', 'firefox 2001:db8:1'],
    ['2001:0DB8:0001:0002:0000:0000:0000:0000', 'firefox 2001:db8:1'],
    ['2001:db8::7', 'firefox 2001:db8:0'],
    ['2001::2:3:4:5:6:7', 'firefox 2001:0:2'],
    ['::1', 'firefox 0:0:0'],
    ['unknown', null],
    ['', null],
    [null, null]
  ] as const) {
    t.equal(fingerprintOf(FIREFOX, address), fingerprint, String(address))
  }
  t.equal(fingerprintOf('', '203.0.113.7'), null)
  t.equal(fingerprintOf(null, '203.0.113.7'), null)
})

function aGuard(mode: 'log' | 'revoke', end: (token: string) => Promise<unknown> = async () => {}) {
  const decisions: FingerprintDecision[] = []
  return { decisions, guard: new FingerprintGuard({ mode, end, onDecision: decision => decisions.push(decision) }) }
}

const session = aSession({ fingerprint: fingerprintOf(CHROME, '203.0.113.7') })

t.test(
  'another network alone is a person on the move; another browser alone is a line; both is a stranger',
  async t => {
    for (const mode of ['log', 'revoke'] as const) {
      const { guard, decisions } = aGuard(mode)
      t.equal(guard.isStranger(session, CHROME, '203.0.113.99'), false)
      t.equal(guard.isStranger(session, CHROME, '198.51.100.1'), false)
      t.equal(guard.isStranger(session, CHROME, '2001:db8::1'), false)
      t.same(decisions, [], 'nothing to say')

      t.equal(guard.isStranger(session, FIREFOX, '203.0.113.99'), false)
      t.match(decisions.splice(0), [
        { browserWas: 'chrome', browserIs: 'firefox', networkChanged: false, action: 'logged', userId: 'ada' }
      ])
      t.equal(guard.isStranger(session, 'curl/8.5.0', '198.51.100.1'), mode === 'revoke')
      t.equal(decisions.length, mode === 'log' ? 1 : 0)
    }
  }
)

t.test('a browser is told of once, not at every request', async t => {
  const { guard, decisions } = aGuard('log')
  for (let i = 0; i < 5; i++) guard.isStranger(session, FIREFOX, '198.51.100.1')
  t.equal(decisions.length, 1)
  for (let i = 0; i < 5; i++) {
    guard.isStranger(session, CHROME, '203.0.113.7')
    guard.isStranger(session, FIREFOX, '198.51.100.1')
  }
  t.equal(decisions.length, 1, 'also where it takes turns with the first one')
  guard.isStranger(session, 'curl/8.5.0', '198.51.100.1')
  t.equal(decisions.length, 2)
})

t.test('a session that no browser began, or that says nothing of it, is never anybody else', async t => {
  const { guard, decisions } = aGuard('revoke')
  t.equal(guard.isStranger(aSession(), 'curl/8.5.0', '198.51.100.1'), false)
  t.same(decisions, [])
})

t.test('a session is ended once, however many ask; one that could not be ended is tried again', async t => {
  let away = true
  const asked: string[] = []
  const { guard, decisions } = aGuard('revoke', async token => {
    asked.push(token)
    if (away) throw new Error('away')
  })
  const end = () => guard.end(session, 'token', 'curl/8.5.0', '198.51.100.1')

  t.same(
    (await Promise.allSettled([end(), end()])).map(({ status }) => status),
    ['rejected', 'rejected']
  )
  t.same(asked, ['token'])
  t.same(decisions, [])
  away = false
  await Promise.all([end(), end()])
  await end()
  t.same(asked, ['token', 'token'])
  t.match(decisions, [{ action: 'revoked', browserIs: 'curl', networkChanged: true }])
})
