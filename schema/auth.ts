/**
 * The tables of Better Auth 1.7 (core, admin, jwt, organization) as the gateway creates them in an empty database.
 * Column types and names follow Better Auth's own generator, with two differences: every time has a zone (a session
 * that ended must not come back to life because a connection speaks another TimeZone), and the columns that are
 * searched but have no index there get one.
 */
import { boolean, index, pgSchema, text, timestamp, uniqueIndex } from 'drizzle-orm/pg-core'

export const AUTH_SCHEMA = 'auth'

export const auth = pgSchema(AUTH_SCHEMA)

const time = (name: string) => timestamp(name, { withTimezone: true })
const id = () => text('id').primaryKey()
const createdAt = () => time('created_at').notNull().defaultNow()
const updatedAt = () => time('updated_at').notNull().defaultNow()

export const user = auth.table('user', {
  id: id(),
  name: text('name').notNull(),
  email: text('email').notNull().unique(),
  emailVerified: boolean('email_verified').notNull().default(false),
  image: text('image'),
  createdAt: createdAt(),
  updatedAt: updatedAt(),
  role: text('role').default('user'),
  banned: boolean('banned').default(false),
  banReason: text('ban_reason'),
  banExpires: time('ban_expires')
})

const userId = () =>
  text('user_id')
    .notNull()
    .references(() => user.id, { onDelete: 'cascade' })

export const session = auth.table(
  'session',
  {
    id: id(),
    token: text('token').notNull().unique(),
    userId: userId(),
    expiresAt: time('expires_at').notNull(),
    createdAt: createdAt(),
    updatedAt: updatedAt(),
    ipAddress: text('ip_address'),
    userAgent: text('user_agent'),
    impersonatedBy: text('impersonated_by'),
    activeOrganizationId: text('active_organization_id')
  },
  table => [index('session_user_id_idx').on(table.userId), index('session_expires_at_idx').on(table.expiresAt)]
)

export const account = auth.table(
  'account',
  {
    id: id(),
    accountId: text('account_id').notNull(),
    providerId: text('provider_id').notNull(),
    userId: userId(),
    accessToken: text('access_token'),
    refreshToken: text('refresh_token'),
    idToken: text('id_token'),
    accessTokenExpiresAt: time('access_token_expires_at'),
    refreshTokenExpiresAt: time('refresh_token_expires_at'),
    scope: text('scope'),
    password: text('password'),
    createdAt: createdAt(),
    updatedAt: updatedAt()
  },
  table => [
    index('account_user_id_idx').on(table.userId),
    // Every social sign-in looks an account up by it.
    index('account_provider_idx').on(table.providerId, table.accountId)
  ]
)

export const verification = auth.table(
  'verification',
  {
    id: id(),
    identifier: text('identifier').notNull(),
    value: text('value').notNull(),
    expiresAt: time('expires_at').notNull(),
    createdAt: createdAt(),
    updatedAt: updatedAt()
  },
  table => [
    index('verification_identifier_idx').on(table.identifier),
    // Better Auth deletes what has expired on every read.
    index('verification_expires_at_idx').on(table.expiresAt)
  ]
)

export const jwks = auth.table('jwks', {
  id: id(),
  publicKey: text('public_key').notNull(),
  privateKey: text('private_key').notNull(),
  createdAt: createdAt(),
  expiresAt: time('expires_at'),
  alg: text('alg'),
  crv: text('crv')
})

export const organization = auth.table('organization', {
  id: id(),
  name: text('name').notNull(),
  slug: text('slug').notNull().unique(),
  logo: text('logo'),
  createdAt: createdAt(),
  metadata: text('metadata')
})

const organizationId = () =>
  text('organization_id')
    .notNull()
    .references(() => organization.id, { onDelete: 'cascade' })

export const member = auth.table(
  'member',
  {
    id: id(),
    organizationId: organizationId(),
    userId: userId(),
    role: text('role').notNull().default('member'),
    createdAt: createdAt()
  },
  table => [
    index('member_user_id_idx').on(table.userId),
    uniqueIndex('member_organization_user_unique').on(table.organizationId, table.userId)
  ]
)

export const invitation = auth.table(
  'invitation',
  {
    id: id(),
    organizationId: organizationId(),
    email: text('email').notNull(),
    role: text('role'),
    status: text('status').notNull().default('pending'),
    expiresAt: time('expires_at').notNull(),
    createdAt: createdAt(),
    inviterId: text('inviter_id')
      .notNull()
      .references(() => user.id, { onDelete: 'cascade' })
  },
  table => [
    index('invitation_organization_id_idx').on(table.organizationId),
    index('invitation_email_idx').on(table.email)
  ]
)
