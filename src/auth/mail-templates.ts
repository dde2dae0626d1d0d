/**
 * What the three mails say. Nothing a stranger typed gets into them: a sign-up names its own user, so a name
 * in the text would let anybody send words of theirs to any address under our sender.
 */

export interface MailText {
  readonly subject: string
  readonly text: string
  readonly html: string
}

interface Parts {
  readonly subject: string
  readonly lead: string
  readonly link: string
  readonly button: string
  readonly note: string
}

export function verificationMail(link: string): MailText {
  return compose({
    subject: 'Confirm your e-mail address',
    lead: 'Please confirm that this address is yours.',
    link,
    button: 'Confirm address',
    note: 'The link works for 15 minutes. If you did not ask for it, there is nothing to do.'
  })
}

export function passwordResetMail(link: string): MailText {
  return compose({
    subject: 'Set a new password',
    lead: 'Somebody, probably you, asked to set a new password for this account.',
    link,
    button: 'Set a new password',
    note: 'The link works once, within one hour. Setting a new password signs you out everywhere. If it was not you, your password stays as it is.'
  })
}

export function welcomeMail(link: string): MailText {
  return compose({
    subject: 'Welcome',
    lead: 'Your address is confirmed and your account is ready.',
    link,
    button: 'Go to the site',
    note: 'You get this mail once.'
  })
}

function compose({ subject, lead, link, button, note }: Parts): MailText {
  return {
    subject,
    text: `${lead}\n\n${link}\n\n${note}\n`,
    html: [
      '<!doctype html>',
      `<html lang="en"><head><meta charset="utf-8"><title>${escapeHtml(subject)}</title></head>`,
      '<body style="font-family:sans-serif;line-height:1.5">',
      `<p>${escapeHtml(lead)}</p>`,
      `<p><a href="${escapeHtml(link)}">${escapeHtml(button)}</a></p>`,
      `<p style="word-break:break-all">${escapeHtml(link)}</p>`,
      `<p>${escapeHtml(note)}</p>`,
      '</body></html>'
    ].join('\n')
  }
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;'
}

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, character => ENTITIES[character] ?? '')
}
