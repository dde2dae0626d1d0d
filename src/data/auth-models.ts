/**
 * The tables Better Auth 1.7 writes with the plugins the gateway uses (admin, bearer, jwt; organization and twoFactor
 * where a database has their tables).
 * Kept as data, so that recognising a database needs no Better Auth; a test compares it with Better Auth's own list.
 */

export type FieldType = 'string' | 'boolean' | 'number' | 'date' | 'reference'

export interface AuthField {
  readonly type: FieldType
  readonly notNull?: true
  readonly unique?: true
  readonly references?: AuthModelName
  readonly defaultsTo?: string
  /** Columns of a plugin: a database made without it lacks them. */
  readonly plugin?: 'admin' | 'organization' | 'twoFactor'
}

export interface AuthModel {
  readonly fields: Readonly<Record<string, AuthField>>
  /** Fields no table of another kind has together: with them, and only with them, a table is a candidate. */
  readonly markedBy: readonly string[]
}

export type AuthModelName = keyof typeof AUTH_MODELS

const text: AuthField = { type: 'string' }
const textNotNull: AuthField = { type: 'string', notNull: true }
const date: AuthField = { type: 'date' }
const dateNotNull: AuthField = { type: 'date', notNull: true }
const userId: AuthField = { type: 'reference', notNull: true, references: 'user' }
const organizationId: AuthField = { type: 'reference', notNull: true, references: 'organization' }

export const AUTH_MODELS = {
  user: {
    markedBy: ['email', 'emailVerified'],
    fields: {
      name: textNotNull,
      email: { type: 'string', notNull: true, unique: true },
      emailVerified: { type: 'boolean', notNull: true, defaultsTo: 'false' },
      image: text,
      createdAt: dateNotNull,
      updatedAt: dateNotNull,
      role: { type: 'string', plugin: 'admin' },
      banned: { type: 'boolean', defaultsTo: 'false', plugin: 'admin' },
      banReason: { type: 'string', plugin: 'admin' },
      banExpires: { type: 'date', plugin: 'admin' },
      twoFactorEnabled: { type: 'boolean', defaultsTo: 'false', plugin: 'twoFactor' }
    }
  },
  session: {
    markedBy: ['token', 'userId', 'expiresAt'],
    fields: {
      token: { type: 'string', notNull: true, unique: true },
      userId,
      expiresAt: dateNotNull,
      createdAt: dateNotNull,
      updatedAt: dateNotNull,
      ipAddress: text,
      userAgent: text,
      impersonatedBy: { type: 'string', plugin: 'admin' },
      activeOrganizationId: { type: 'string', plugin: 'organization' }
    }
  },
  account: {
    markedBy: ['accountId', 'providerId', 'userId'],
    fields: {
      accountId: textNotNull,
      providerId: textNotNull,
      userId,
      accessToken: text,
      refreshToken: text,
      idToken: text,
      accessTokenExpiresAt: date,
      refreshTokenExpiresAt: date,
      scope: text,
      password: text,
      createdAt: dateNotNull,
      updatedAt: dateNotNull
    }
  },
  verification: {
    markedBy: ['identifier', 'value', 'expiresAt'],
    fields: {
      identifier: textNotNull,
      value: textNotNull,
      expiresAt: dateNotNull,
      createdAt: dateNotNull,
      updatedAt: dateNotNull
    }
  },
  jwks: {
    markedBy: ['publicKey', 'privateKey'],
    fields: {
      publicKey: textNotNull,
      privateKey: textNotNull,
      createdAt: dateNotNull,
      expiresAt: date,
      alg: text,
      crv: text
    }
  },
  organization: {
    markedBy: ['name', 'slug', 'metadata'],
    fields: {
      name: textNotNull,
      slug: { type: 'string', notNull: true, unique: true },
      logo: text,
      createdAt: dateNotNull,
      metadata: text
    }
  },
  member: {
    markedBy: ['organizationId', 'userId', 'role'],
    fields: {
      organizationId,
      userId,
      role: { type: 'string', notNull: true, defaultsTo: "'member'" },
      createdAt: dateNotNull
    }
  },
  invitation: {
    markedBy: ['organizationId', 'email', 'status', 'inviterId'],
    fields: {
      organizationId,
      email: textNotNull,
      role: text,
      status: { type: 'string', notNull: true, defaultsTo: "'pending'" },
      expiresAt: dateNotNull,
      createdAt: dateNotNull,
      inviterId: { type: 'reference', notNull: true, references: 'user' }
    }
  },
  twoFactor: {
    markedBy: ['secret', 'backupCodes', 'userId'],
    fields: {
      secret: textNotNull,
      backupCodes: textNotNull,
      userId,
      verified: { type: 'boolean', defaultsTo: 'true' },
      failedVerificationCount: { type: 'number', defaultsTo: '0' },
      lockedUntil: date
    }
  }
} as const satisfies Record<string, { markedBy: readonly string[]; fields: Readonly<Record<string, unknown>> }>

export const AUTH_MODEL_NAMES = Object.keys(AUTH_MODELS) as readonly AuthModelName[]

export function authModel(name: AuthModelName): AuthModel {
  return AUTH_MODELS[name]
}
