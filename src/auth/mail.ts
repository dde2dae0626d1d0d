/**
 * The three mails of an account's life (R20-R24). Whoever asks for one never waits for it and never learns
 * whether it was sent: a mail service that is down or slow must neither break a sign-up nor tell an
 * address that exists from one that does not.
 */
import type { Env } from '../config/env.js'
import { passwordResetLink, verificationLink } from './mail-links.js'
import { MailQueue } from './mail-queue.js'
import { passwordResetMail, verificationMail, welcomeMail } from './mail-templates.js'
import { createTransport, type MailTransportOptions } from './mail-transports.js'

export interface MailUser {
  readonly id: string
  readonly email: string
}

export interface Mailer {
  /** `url` is Better Auth's own link; it lives 15 minutes. */
  readonly verification: (user: MailUser, url: string) => void
  /** The link lives one hour and works once. */
  readonly passwordReset: (user: MailUser, url: string, token: string) => void
  readonly welcome: (user: MailUser) => void
  /** Waits for mails being sent, at most one attempt each. */
  readonly close: () => Promise<void>
}

export type MailerOptions = MailTransportOptions & {
  readonly env: Pick<Env, 'baseUrl' | 'frontendUrl' | 'corsOrigins'>
}

export function createMailer(options: MailerOptions): Mailer {
  const { env, log } = options
  const queue = new MailQueue(createTransport(options), log)

  return {
    verification(user, url) {
      const link = verificationLink(url, env)
      queue.add({ kind: 'verification', userId: user.id, to: user.email, link, ...verificationMail(link) })
    },
    passwordReset(user, url, token) {
      const link = passwordResetLink(url, token, env)
      queue.add({ kind: 'password-reset', userId: user.id, to: user.email, link, ...passwordResetMail(link) })
    },
    welcome(user) {
      const link = env.frontendUrl ?? env.baseUrl
      queue.add({ kind: 'welcome', userId: user.id, to: user.email, link, ...welcomeMail(link) })
    },
    close: () => queue.close()
  }
}
