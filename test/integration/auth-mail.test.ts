/** Mails on their way, to a Resend and an SMTP server of the test's own. */
import { once } from 'node:events'
import { createServer as createHttpServer, type IncomingMessage } from 'node:http'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import { text } from 'node:stream/consumers'
import t from 'tap'
import { type Mail, MailQueue, type MailTransport } from '../../src/auth/mail-queue.js'
import { createTransport } from '../../src/auth/mail-transports.js'
import type { MailTransport as MailSetting } from '../../src/config/env.js'
import { eventually } from '../support/eventually.js'
import { capturingLog } from '../support/log.js'

const mail: Mail = {
  kind: 'verification',
  userId: 'user-1',
  to: 'ada@example.com',
  link: 'https://gw.test/verify?token=secret-token',
  subject: 'Confirm',
  text: 'https://gw.test/verify?token=secret-token',
  html: '<p>…</p>'
}

const never: MailTransport = () => new Promise(() => {})

type Scope = { teardown: (fn: () => unknown) => unknown }

interface Received {
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

/** Answers with these statuses in turn, then 200. */
async function fakeResend(t: Scope, statuses: number[]) {
  const received: Received[] = []
  const server = createHttpServer(async (request, response) => {
    received.push({ headers: request.headers, body: await text(request) })
    const status = statuses.shift() ?? 200
    response.writeHead(status, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ id: 'x', message: `no such address: ${mail.to}` }))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  return { received, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/emails` }
}

function transport(setting: MailSetting, { resendUrl = 'http://127.0.0.1:9', production = true } = {}) {
  const { log, ...captured } = capturingLog()
  const env = { mail: setting, emailFrom: 'Gateway <gw@example.com>', production }
  return { send: createTransport({ env, log, resendUrl }), log, ...captured }
}

t.test('Resend gets one POST with the key, the sender and the three parts (R23)', async t => {
  const resend = await fakeResend(t, [])
  const { send } = transport({ kind: 'resend', apiKey: 're_123' }, { resendUrl: resend.url })

  await send(mail, 'key-1')

  const [{ headers, body }] = resend.received as [Received]
  t.match(headers, { authorization: 'Bearer re_123', 'idempotency-key': 'key-1', 'content-type': 'application/json' })
  t.strictSame(JSON.parse(body), {
    from: 'Gateway <gw@example.com>',
    to: ['ada@example.com'],
    subject: 'Confirm',
    text: mail.text,
    html: mail.html
  })
})

t.test('a mail that fails is tried three times under one key, and the log names nobody (R65)', async t => {
  const resend = await fakeResend(t, [500, 429, 503])
  const { send, log, lines, text } = transport({ kind: 'resend', apiKey: 're_123' }, { resendUrl: resend.url })
  const queue = new MailQueue(send, log, [1, 1])

  queue.add(mail)
  await eventually(() => lines().length > 0, 'a line in the log')

  t.equal(resend.received.length, 3)
  t.equal(new Set(resend.received.map(({ headers }) => headers['idempotency-key'])).size, 1)
  t.match(lines(), [{ event: 'mail.failed', kind: 'verification', userId: 'user-1', attempts: 3, error: '503' }])
  t.notMatch(text(), /ada|secret-token|re_123/)
})

t.test('a mail that was refused for good is not tried again', async t => {
  const resend = await fakeResend(t, [422])
  const { send, log, lines } = transport({ kind: 'resend', apiKey: 're_123' }, { resendUrl: resend.url })

  new MailQueue(send, log, [1, 1]).add(mail)
  await eventually(() => lines().length > 0, 'a line in the log')

  t.equal(resend.received.length, 1)
  t.match(lines(), [{ event: 'mail.failed', attempts: 1, error: '422' }])
})

t.test('a service that is not there fails in the log and nowhere else', async t => {
  const { send, log, lines } = transport({ kind: 'resend', apiKey: 're_123' })

  new MailQueue(send, log, [1, 1]).add(mail)
  await eventually(() => lines().length > 0, 'a line in the log')

  t.match(lines(), [{ event: 'mail.failed', attempts: 3 }])
})

t.test('the queue is bounded and says what it drops', async t => {
  const { log, lines } = capturingLog()
  const queue = new MailQueue(never, log)

  for (let i = 0; i < 1_010; i++) queue.add(mail)

  t.equal(lines().filter(({ event }) => event === 'mail.dropped').length, 6, '4 under way, 1000 waiting')
})

t.test('closing waits for what is under way and gives up what is not', async t => {
  const { log, lines } = capturingLog()
  const attempts: (() => void)[] = []
  const queue = new MailQueue(() => new Promise(resolve => attempts.push(resolve)), log)
  queue.add(mail)

  const closed = queue.close()
  attempts[0]?.()
  await closed
  queue.add(mail)

  t.strictSame(
    lines().map(({ event }) => event),
    ['mail.sent', 'mail.dropped']
  )
})

t.test('SMTP carries the mail to the one address it is for', async t => {
  const smtp = await fakeSmtp(t, '250 ok')
  const { send } = transport({ kind: 'smtp', url: smtp.url })

  await send({ ...mail, to: 'ada@example.com' }, 'key-1')

  t.strictSame(smtp.recipients, ['<ada@example.com>'])
  t.match(smtp.text(), /^From: Gateway <gw@example\.com>/m)
  t.match(smtp.text(), /^Subject: Confirm/m)
})

t.test('an SMTP refusal for good is permanent', async t => {
  const smtp = await fakeSmtp(t, '550 no such user')
  const { send } = transport({ kind: 'smtp', url: smtp.url })

  await t.rejects(send(mail, 'key-1'), { name: 'PermanentMailError', status: 550 })
})

t.test(
  'outside production the link is in the log (R24); in production, or with a mail service, it never is',
  async t => {
    const development = transport({ kind: 'log' }, { production: false })
    await development.send(mail, 'key-1')
    t.match(development.lines(), [{ event: 'mail.link', kind: 'verification', userId: 'user-1', link: mail.link }])

    const resend = await fakeResend(t, [])
    const served = transport({ kind: 'resend', apiKey: 're_123' }, { resendUrl: resend.url, production: false })
    await served.send(mail, 'key-1')
    t.equal(served.text(), '')

    const production = transport({ kind: 'log' })
    await t.rejects(production.send(mail, 'key-1'))
    t.equal(production.text(), '')
  }
)

/** As much of RFC 5321 as one mail needs. */
async function fakeSmtp(t: Scope, answerToRcpt: string) {
  const recipients: string[] = []
  let data = ''
  const server = createTcpServer(socket => {
    let inData = false
    socket.write('220 fake\r\n')
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      if (inData) {
        data += chunk
        if (!data.endsWith('\r\n.\r\n')) return
        inData = false
        socket.write('250 ok\r\n')
        return
      }
      for (const line of chunk.split('\r\n').filter(line => line !== '')) {
        const word = line.slice(0, 4).toUpperCase()
        if (word === 'RCPT') recipients.push(line.slice('RCPT TO:'.length).trim())
        if (word === 'DATA') inData = true
        socket.write(`${word === 'RCPT' ? answerToRcpt : word === 'DATA' ? '354 go' : '250 ok'}\r\n`)
        if (word === 'QUIT') socket.end()
      }
    })
    socket.on('error', () => {})
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  return { recipients, text: () => data, url: `smtp://127.0.0.1:${(server.address() as AddressInfo).port}` }
}
