/** What a route demands of its caller, compiled. */

export type AccessLevel = 'public' | 'optional' | 'session'

export interface Access {
  readonly level: AccessLevel
  /** Every inner list must be met by at least one of its roles (AND of ORs). */
  readonly roles: readonly (readonly string[])[]
  readonly organizationRoles: readonly (readonly string[])[]
  readonly emailVerified: boolean
  /** Milliseconds since sign-in; null: any age. */
  readonly freshMs: number | null
}
