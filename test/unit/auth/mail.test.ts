/** Where mails' links lead, and what mails say. */
import t from 'tap'
import { passwordResetLink, verificationLink } from '../../../src/auth/mail-links.js'
import { escapeHtml, passwordResetMail, verificationMail, welcomeMail } from '../../../src/auth/mail-templates.js'

const baseUrl = 'https://gw.test'
const corsOrigins = ['https://app.test']
const alone = { baseUrl, corsOrigins, frontendUrl: null }
const withFrontEnd = { baseUrl, corsOrigins, frontendUrl: 'https://app.test/' }

t.test('a verification link leads where the client asked, else to the front end, else nowhere further', async t => {
  const link = (callback: string) => `${baseUrl}/api/auth/verify-email?token=abc&callbackURL=${callback}`

  t.equal(verificationLink(link('%2Fhello'), withFrontEnd), link('%2Fhello'))
  t.equal(verificationLink(link('%2F'), withFrontEnd), link('https%3A%2F%2Fapp.test%2F'))
  t.equal(
    verificationLink(link('%2F'), { ...withFrontEnd, corsOrigins: [] }),
    `${baseUrl}/api/auth/verify-email?token=abc`,
    'an origin that is not trusted would make the link a dead one'
  )
  t.equal(verificationLink(link('%2F'), alone), `${baseUrl}/api/auth/verify-email?token=abc`)
})

t.test('a reset link never ends in Better Auth’s error page', async t => {
  const link = (callback: string) => `${baseUrl}/api/auth/reset-password/abc?callbackURL=${callback}`

  t.equal(passwordResetLink(link('%2Freset'), 'abc', withFrontEnd), link('%2Freset'))
  t.equal(passwordResetLink(link(''), 'abc', withFrontEnd), 'https://app.test/reset-password?token=abc')
  t.equal(passwordResetLink(link(''), 'abc', alone), `${baseUrl}/.gateway/reset-password?token=abc`)
})

t.test('each mail says how long its link lives (R20, R21) and carries it in text and, escaped, in HTML', async t => {
  const link = 'https://gw.test/x?a=1&b="><script>alert(1)</script>'
  const mails = { verification: verificationMail(link), reset: passwordResetMail(link), welcome: welcomeMail(link) }

  for (const [name, { text, html, subject }] of Object.entries(mails)) {
    t.ok(text.includes(link), name)
    t.ok(html.includes(escapeHtml(link)), name)
    t.notMatch(html, /<script>/, name)
    t.notMatch(subject, /[\r\n]/, name)
  }
  t.match(mails.verification.text, /15 minutes/)
  t.match(mails.reset.text, /one hour/)
})
