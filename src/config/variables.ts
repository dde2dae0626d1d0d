/**
 * Every environment variable, once: its default as the documentation shows it, its meaning, and whether it is
 * a secret (then it is also read from the file that NAME_FILE names, and never shown).
 * `docs/configuration.md` is generated from this list, `.env.example` is checked against it, and a name that
 * is not in it cannot be read.
 */

type Entry = readonly [fallback: string, meaning: string, secret?: 'secret']

const VARIABLE_GROUPS = {
  Listeners: {
    PORT: ['8080', 'Port of the public listener.'],
    HOST: ['127.0.0.1', 'Address of the public listener; `0.0.0.0` in the Docker image.'],
    OPS_PORT: ['9090', 'Port of the private listener: health details and metrics.'],
    OPS_HOST: ['127.0.0.1', 'Address of the private listener. Keep it off the internet.']
  },
  'PostgreSQL and Redis': {
    DATABASE_URL: [
      'embedded PostgreSQL outside production',
      'PostgreSQL 14 or newer: `postgres://user:password@host:5432/name`.',
      'secret'
    ],
    DB_HOST: ['', 'Instead of `DATABASE_URL`, together with the next four.'],
    DB_PORT: ['5432', 'See `DB_HOST`.'],
    DB_NAME: ['', 'See `DB_HOST`.'],
    DB_USER: ['', 'See `DB_HOST`.'],
    DB_PASSWORD: ['', 'See `DB_HOST`. Special characters need no escaping here.', 'secret'],
    DATABASE_DIRECT_URL: [
      '`DATABASE_URL`',
      'A session-mode connection for LISTEN and migrations, where `DATABASE_URL` is a transaction pooler.',
      'secret'
    ],
    DATABASE_SCHEMA: ['found by inspection; `auth` in a database of our own', 'Schema of the auth tables.'],
    DATABASE_POOL_MAX: ['10', 'Connections for session look-ups; Better Auth has a pool of its own.'],
    REDIS_URL: [
      '',
      '`redis://`, `rediss://`, `redis+sentinel://h1,h2/name` or `redis+cluster://h1,h2`. Without it nothing is shared between machines.',
      'secret'
    ]
  },
  'Sessions and cookies': {
    BETTER_AUTH_SECRET: [
      'generated in `.data/` outside production',
      'Signs cookies; at least 32 characters.',
      'secret'
    ],
    BETTER_AUTH_SECRETS: [
      '',
      'Rotates the secret without signing anybody out: `2:new,1:old`, newest first. `1!:old`: leaked, so nothing signed by it counts; what it encrypted stays readable.',
      'secret'
    ],
    BETTER_AUTH_URL: [
      '`http://localhost:$PORT` outside production',
      'Public origin. Its scheme decides on `Secure` and the `__Secure-` prefix of cookies.'
    ],
    AUTH_MODE: [
      'hosted',
      '`hosted`: `/api/auth/*` is served here. `attached`: Better Auth runs elsewhere on the same database and secret.'
    ],
    COOKIE_DOMAIN: ['', 'Shares the cookie with subdomains: `.example.com`.'],
    COOKIE_SAME_SITE: ['lax', '`lax`, `strict` or `none`; `none` needs https.'],
    SESSION_EXPIRES_IN: ['604800', 'Seconds (or `7d`) until a session ends.'],
    SESSION_UPDATE_AGE: ['86400', 'Seconds after which use extends a session.'],
    SESSION_FRESH_AGE: ['86400', 'Seconds after sign-in during which Better Auth allows sensitive changes; 0: always.'],
    SESSION_DISABLE_REFRESH: ['0', '`1`: use never extends a session; it ends when it would have ended at sign-in.'],
    SESSION_ROTATE_ON_ROLE_CHANGE: [
      '1',
      'A change of the user’s role gives each of the user’s sessions a new token at its next request; the old one ends 10 seconds later. `0`: the token stays.'
    ],
    SESSION_CACHE_TTL: ['300', 'Seconds a session may stay in Redis.'],
    SESSION_LOCAL_LEASE: [
      '1000',
      'Milliseconds the sessions in the memory of one process may be used without a new proof that they are current; 0: no such memory.'
    ],
    OUTAGE_MODE: [
      'graceful',
      'When no gateway reaches PostgreSQL: `graceful` serves sessions in Redis to the end of their 5 minutes, `strict` refuses all after 3 seconds. Sign-outs are refused (503) in both.'
    ],
    SESSION_FINGERPRINT: [
      'off',
      'Whether a session that another kind of browser uses is noted: `log`; `revoke` also ends it when the network is another one too. Read [security.md](security.md#session-fingerprint) first.'
    ],
    BEARER_UNSIGNED: ['0', '`1` accepts a bare session token as bearer, for clients of an older form.']
  },
  'Browsers and proxies': {
    CORS_ORIGINS: [
      '`http://localhost:3000` outside production',
      'Comma list of front-end origins. Drives CORS, the origin check and the redirect targets of Better Auth.'
    ],
    TRUSTED_PROXIES: ['', 'Comma list of addresses and CIDRs whose `X-Forwarded-*` are believed.']
  },
  Mail: {
    EMAIL_FROM: ['', 'Sender, `Example <no-reply@example.com>`. Needed as soon as mail is sent.'],
    RESEND_API_KEY: ['', 'Sends mail by Resend.', 'secret'],
    SMTP_URL: [
      '',
      'Sends mail by SMTP: `smtps://user:password@host`. With neither, links go to the log outside production.',
      'secret'
    ],
    FRONTEND_URL: [
      '',
      'Your front end. A link to set a new password leads to its page `/reset-password?token=…`, which posts `token` and `newPassword` to `/api/auth/reset-password`. Without it the link leads to the portal, which is not there yet.'
    ],
    REQUIRE_EMAIL_VERIFICATION: ['0, in production 1', '`1`: signing in needs a verified e-mail address.']
  },
  'Sign-in': {
    GOOGLE_CLIENT_ID: ['', 'Sign-in with Google, together with its secret.'],
    GOOGLE_CLIENT_SECRET: ['', 'See `GOOGLE_CLIENT_ID`.', 'secret'],
    GITHUB_CLIENT_ID: ['', 'Sign-in with GitHub, together with its secret.'],
    GITHUB_CLIENT_SECRET: ['', 'See `GITHUB_CLIENT_ID`.', 'secret'],
    MICROSOFT_CLIENT_ID: ['', 'Sign-in with Microsoft, together with its secret.'],
    MICROSOFT_CLIENT_SECRET: ['', 'See `MICROSOFT_CLIENT_ID`.', 'secret'],
    LOGIN_RATE_LIMIT_IP: ['5/60s', 'Attempts at signing in, signing up and the like, per client address.'],
    LOGIN_RATE_LIMIT_ACCOUNT: ['10/15m', 'The same per account.']
  },
  Process: {
    NODE_ENV: [
      '',
      '`production` makes the start stricter: own database, secret and https origin, routes, and mail where it is needed.'
    ],
    ALLOW_HTTP: ['0', '`1` lets production start with an http origin. Cookies then travel in the clear.'],
    GATEWAY_CONFIG: ['`gateway.yaml` if there is one', 'Path of the file that says what is routed.'],
    INTERNAL_API_KEY: [
      '',
      'Used where the file says `internalKey: ${INTERNAL_API_KEY}`; any other name works as well.',
      'secret'
    ],
    WORKERS: ['1', 'Processes on this machine; `auto`: one per core.'],
    LOG_LEVEL: ['info', '`fatal`, `error`, `warn`, `info`, `debug`, `trace` or `silent`.']
  }
} as const satisfies Record<string, Record<string, Entry>>

type Groups = typeof VARIABLE_GROUPS

export type VariableName = { [Group in keyof Groups]: keyof Groups[Group] & string }[keyof Groups]

export interface Variable {
  readonly name: VariableName
  readonly group: string
  /** Empty: none. */
  readonly fallback: string
  readonly meaning: string
  readonly secret: boolean
}

export const VARIABLES: readonly Variable[] = Object.entries(VARIABLE_GROUPS).flatMap(([group, entries]) =>
  Object.entries<Entry>(entries).map(([name, [fallback, meaning, secret]]) => ({
    name: name as VariableName,
    group,
    fallback,
    meaning,
    secret: secret === 'secret'
  }))
)
