/** `session-gateway token EMAIL`: a session for a user, as the signed bearer token scripts and tests call with. */
import { parseArgs } from 'node:util'
import { pino } from 'pino'
import { createAuth } from '../auth/better-auth.js'
import { createMailer } from '../auth/mail.js'
import { inspectAuthShape } from '../data/inspect-auth.js'
import { createAuthPool, createDirectClient } from '../data/postgres.js'
import { signToken } from '../session/credential.js'
import { databaseEnv } from './database-env.js'
import { openLocal } from './local-parts.js'

export const help = `Usage: session-gateway token EMAIL

Signs the user with this e-mail address in, without a password, and prints the token, nothing else:

  curl -H "Authorization: Bearer $(npx session-gateway token ada@example.com)" http://localhost:8080/api/hello

It is a session like any other: it lives as long (SESSION_EXPIRES_IN), stands in the user's list as
'session-gateway token', and ends by sign-out or revocation. Whoever may run this has the database and the secret.
Exit code: 1 there is no such user.`

export async function run(args: string[]): Promise<number> {
  const { positionals } = parseArgs({ args, allowPositionals: true, options: {} })
  const [email, ...more] = positionals
  if (email === undefined || more.length > 0) throw new Error('EMAIL, nothing else, is needed.')

  const env = databaseEnv('secret')
  const local = await openLocal(env, line => console.error(line))
  const sql = createDirectClient(local.databaseDirectUrl)
  const closing = [local.close, () => sql.end()]
  try {
    const shape = await inspectAuthShape(sql, { schema: env.databaseSchema, mode: env.authMode })
    const { secrets } = local
    const log = pino({ level: 'silent' })
    const connect = () => createAuthPool(local.databaseUrl)
    const { context, close } = await createAuth({
      env,
      secrets,
      connect,
      shape,
      mailer: createMailer({ env, log }),
      log
    })
    closing.push(close)

    const found = await context.internalAdapter.findUserByEmail(email.toLowerCase())
    if (found === null) {
      console.error(`There is no user with the e-mail address ${email}.`)
      return 1
    }
    const origin = { userAgent: 'session-gateway token' }
    const session = await context.internalAdapter.createSession(found.user.id, false, origin)
    console.log(signToken(session.token, secrets[0]?.value ?? ''))
    return 0
  } finally {
    for (const close of closing.toReversed()) await close()
  }
}
