/** `session-gateway role EMAIL ROLE`: sets a user's role in the database; how the first administrator comes to be. */
import { parseArgs } from 'node:util'
import type { Sql } from 'postgres'
import type { AuthShape } from '../data/auth-shape.js'
import { inspectAuthShape } from '../data/inspect-auth.js'
import { createDirectClient } from '../data/postgres.js'
import { ident } from '../data/sql-text.js'
import { databaseEnv } from './database-env.js'
import { openLocal } from './local-parts.js'

export const help = `Usage: session-gateway role EMAIL ROLE

Sets the role of the user with this e-mail address: 'admin', 'user', or several, 'editor,support'. Needs no running
gateway; every running one knows at once, the triggers see to that. The user's sessions get a new cookie, or a new
set-auth-token, with their next answer; the old one ends ten seconds later (SESSION_ROTATE_ON_ROLE_CHANGE=0: never).
The database is that of DATABASE_DIRECT_URL or DATABASE_URL, without either the embedded one.
Exit code: 1 there is no such user.`

const ROLES = /^[\w.:-]+(,[\w.:-]+)*$/

export async function run(args: string[]): Promise<number> {
  const { positionals } = parseArgs({ args, allowPositionals: true, options: {} })
  const [email, role, ...more] = positionals
  if (email === undefined || role === undefined || more.length > 0) {
    throw new Error('EMAIL and ROLE, nothing else, are needed.')
  }
  if (!ROLES.test(role)) throw new Error(`'${role}' is no role: letters, digits and ._:- only, a comma between two.`)

  const env = databaseEnv()
  const local = await openLocal(env, line => console.error(line))
  const sql = createDirectClient(local.databaseDirectUrl)
  try {
    const shape = await inspectAuthShape(sql, { schema: env.databaseSchema, mode: env.authMode })
    if (!(await setRole(sql, shape, email, role))) {
      console.error(`There is no user with the e-mail address ${email}.`)
      return 1
    }
    console.log(`${email}: ${role}`)
    return 0
  } finally {
    await sql.end()
    await local.close()
  }
}

/** False: nobody has this address. */
async function setRole(sql: Sql, { schema, tables }: AuthShape, email: string, role: string): Promise<boolean> {
  const { name, columns } = tables.user
  if (columns.role === undefined || columns.email === undefined) {
    throw new Error(`The table ${schema}.${name} has no role column: npx session-gateway migrate`)
  }
  const users = `${ident(schema)}.${ident(name)}`
  const text = `update ${users} set ${ident(columns.role.name)} = $1 where lower(${ident(columns.email.name)}) = lower($2)`
  const { count } = await sql.unsafe(text, [role, email])
  return count > 0
}
