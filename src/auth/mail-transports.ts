/** How a mail leaves: Resend's HTTP API, SMTP, or, outside production, its link in the log (R23, R24). */
import type { FastifyBaseLogger } from 'fastify'
import { createTransport as createSmtp } from 'nodemailer'
import type { Env } from '../config/env.js'
import { type Mail, type MailTransport, PermanentMailError } from './mail-queue.js'

export interface MailTransportOptions {
  readonly env: Pick<Env, 'mail' | 'emailFrom' | 'production'>
  readonly log: FastifyBaseLogger
  /** Where Resend answers; a test puts a server of its own here. */
  readonly resendUrl?: string
}

const RESEND_URL = 'https://api.resend.com/emails'
const TIMEOUT_MS = 5_000

export function createTransport({ env, log, resendUrl = RESEND_URL }: MailTransportOptions): MailTransport {
  const { mail, emailFrom, production } = env
  if (mail.kind === 'resend') return sendByResend(resendUrl, mail.apiKey, emailFrom)
  if (mail.kind === 'smtp') return sendBySmtp(mail.url, emailFrom)
  return production ? sendNothing : sendToLog(log)
}

function sendByResend(url: string, apiKey: string, from: string): MailTransport {
  return async ({ to, subject, text, html }, key) => {
    const response = await fetch(url, {
      method: 'POST',
      headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json', 'idempotency-key': key },
      body: JSON.stringify({ from, to: [to], subject, text, html }),
      redirect: 'error',
      signal: AbortSignal.timeout(TIMEOUT_MS)
    })
    await response.body?.cancel()
    if (response.ok) return
    const { status } = response
    const mayPass = status >= 500 || status === 429 || status === 408
    throw Object.assign(mayPass ? new Error('resend') : new PermanentMailError('resend'), { status })
  }
}

function sendBySmtp(url: string, from: string): MailTransport {
  const timeouts = { connectionTimeout: TIMEOUT_MS, greetingTimeout: TIMEOUT_MS, socketTimeout: TIMEOUT_MS }
  const smtp = createSmtp({ url, ...timeouts }, { from, disableFileAccess: true, disableUrlAccess: true })
  return async ({ to, subject, text, html }, key) => {
    try {
      // As an object the address cannot grow into a list or a header.
      await smtp.sendMail({ to: { name: '', address: to }, subject, text, html, messageId: `<${key}@session-gateway>` })
    } catch (error) {
      const { responseCode = 0 } = error as { responseCode?: number }
      // RFC 5321 section 4.2.1: 5yz is a permanent answer.
      throw responseCode >= 500
        ? Object.assign(new PermanentMailError('smtp'), { status: responseCode })
        : Object.assign(new Error('smtp'), { code: (error as { code?: string }).code })
    }
  }
}

/**
 * The one line that holds a token, and with a verification's the e-mail address: docs/security.md, links of mails in
 * the log.
 */
function sendToLog(log: FastifyBaseLogger): MailTransport {
  return async ({ kind, userId, link }: Mail) => {
    log.info({ event: 'mail.link', kind, userId, link })
  }
}

/** A link in a production log would be a way in for everybody who can read logs. */
const sendNothing: MailTransport = async () => {
  throw Object.assign(new PermanentMailError('no transport'), { code: 'NO_MAIL_TRANSPORT' })
}
