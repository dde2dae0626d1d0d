/** Better Auth on drizzle and postgres.js, as its documentation sets it up, over the tables its own migrations make. */
import { drizzleAdapter } from 'better-auth/adapters/drizzle'
import { boolean, pgTable, text, timestamp } from 'drizzle-orm/pg-core'
import { drizzle } from 'drizzle-orm/postgres-js'
import postgres from 'postgres'

const time = () => timestamp({ withTimezone: true })

const user = pgTable('user', {
  id: text().primaryKey(),
  name: text().notNull(),
  email: text().notNull(),
  emailVerified: boolean().notNull(),
  image: text(),
  createdAt: time().notNull(),
  updatedAt: time().notNull(),
  role: text(),
  banned: boolean(),
  banReason: text(),
  banExpires: time()
})

const session = pgTable('session', {
  id: text().primaryKey(),
  expiresAt: time().notNull(),
  token: text().notNull(),
  createdAt: time().notNull(),
  updatedAt: time().notNull(),
  ipAddress: text(),
  userAgent: text(),
  userId: text().notNull(),
  impersonatedBy: text()
})

// Not read here; Better Auth wants to see them all.
const account = pgTable('account', {
  id: text().primaryKey(),
  accountId: text().notNull(),
  providerId: text().notNull(),
  userId: text().notNull(),
  accessToken: text(),
  refreshToken: text(),
  idToken: text(),
  accessTokenExpiresAt: time(),
  refreshTokenExpiresAt: time(),
  scope: text(),
  password: text(),
  createdAt: time().notNull(),
  updatedAt: time().notNull()
})

const verification = pgTable('verification', {
  id: text().primaryKey(),
  identifier: text().notNull(),
  value: text().notNull(),
  expiresAt: time().notNull(),
  createdAt: time().notNull(),
  updatedAt: time().notNull()
})

const schema = { user, session, account, verification }

export function drizzleDatabase(url) {
  return drizzleAdapter(drizzle(postgres(url)), { provider: 'pg', schema })
}
