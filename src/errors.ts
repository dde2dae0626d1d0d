/**
 * Everything the gateway refuses or fails with, in one table.
 * `docs/errors.md` is checked against this table, both ways, by `test/unit/docs.test.ts`.
 */
export const ERRORS = {
  BAD_PATH: { status: 400, message: 'The path can be read in more than one way.' },
  BAD_REQUEST: { status: 400, message: 'The request is malformed.' },
  AUTHENTICATION_REQUIRED: { status: 401, message: 'Sign in first.' },
  INVALID_SESSION: { status: 401, message: 'The session is not valid.' },
  INSUFFICIENT_ROLE: { status: 403, message: 'Your role does not allow this.' },
  SESSION_NOT_FRESH: { status: 403, message: 'Sign in again to do this.' },
  EMAIL_NOT_VERIFIED: { status: 403, message: 'Verify your e-mail address first.' },
  ORIGIN_NOT_ALLOWED: { status: 403, message: 'This origin may not do this.' },
  ROUTE_NOT_FOUND: { status: 404, message: 'Nothing is served here.' },
  METHOD_NOT_ALLOWED: { status: 405, message: 'This method is not allowed here.' },
  BODY_TOO_LARGE: { status: 413, message: 'The body is larger than allowed.' },
  RATE_LIMITED: { status: 429, message: 'Too many requests. Try again later.' },
  INTERNAL_ERROR: { status: 500, message: 'Something went wrong on our side.' },
  UPSTREAM_UNREACHABLE: { status: 502, message: 'The service behind the gateway cannot be reached.' },
  UPSTREAM_BAD_RESPONSE: { status: 502, message: 'The service behind the gateway answered badly.' },
  AUTH_SERVICE_UNAVAILABLE: { status: 503, message: 'Sessions cannot be checked right now.' },
  UPSTREAM_OVERLOADED: { status: 503, message: 'The service behind the gateway is overloaded.' },
  DRAINING: { status: 503, message: 'The gateway is shutting down.' },
  UPSTREAM_TIMEOUT: { status: 504, message: 'The service behind the gateway took too long.' }
} as const satisfies Record<string, { status: number; message: string }>

export type ErrorCode = keyof typeof ERRORS

export interface ErrorDetails {
  /** For the log only: why exactly, a stable word. Never sent to the client. */
  reason?: string | undefined
  cause?: unknown
  /** Response headers this error brings along, lower-case names. */
  headers?: Readonly<Record<string, string>>
  /** Where HTTP has a sharper status than the code's own: 417, 431. */
  status?: number
}

/** The one error class. `code` picks status and public message from `ERRORS`. */
export class GatewayError extends Error {
  readonly code: ErrorCode
  readonly statusCode: number
  readonly reason: string | undefined
  readonly headers: Readonly<Record<string, string>>

  constructor(code: ErrorCode, { reason, cause, headers = {}, status = ERRORS[code].status }: ErrorDetails = {}) {
    // Refusals are values on the hot path: a stack would cost more than the whole check of a forged cookie.
    const { stackTraceLimit } = Error
    Error.stackTraceLimit = code === 'INTERNAL_ERROR' ? stackTraceLimit : 0
    super(ERRORS[code].message, { cause })
    Error.stackTraceLimit = stackTraceLimit
    this.name = 'GatewayError'
    this.code = code
    this.statusCode = status
    this.reason = reason
    this.headers = headers
  }
}

/** One thing wrong with the configuration. `place` is `gateway.yaml:12:5 routes[1].access` or `env PORT`. */
export interface ConfigProblem {
  readonly place: string
  readonly message: string
}

/** All problems of the configuration at once. The process prints them and exits with 78 (sysexits EX_CONFIG). */
export class ConfigError extends Error {
  readonly problems: readonly ConfigProblem[]

  constructor(problems: readonly ConfigProblem[]) {
    super(problems.map(({ place, message }) => `${place}: ${message}`).join('\n'))
    this.name = 'ConfigError'
    this.problems = problems
  }
}

/**
 * What a log may say of an unknown error. Frames only: drivers put parameters, tokens and e-mails among them, into
 * messages.
 */
export function whereabouts(error: unknown) {
  const { name, code, stack } = (error ?? {}) as { name?: string; code?: string; stack?: string }
  const frames = String(stack ?? '')
    .split('\n')
    .filter(line => /^\s+at /.test(line))
    .map(line => line.trim())
  return { error: name ?? typeof error, code, frames }
}
