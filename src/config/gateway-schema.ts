/**
 * gateway.yaml as it may be written: closed, so that a misspelt key is an error and not an open door.
 * `schema/gateway.schema.json` and half of `docs/configuration.md` are generated from here.
 */
import { z } from 'zod'
import {
  count,
  duration,
  hostName,
  listOf,
  map,
  name,
  oneOf,
  printable,
  roles,
  size,
  target,
  text,
  urlPath,
  yesOrNo
} from './file-values.js'

const timeout = map({
  connect: duration.default('2s').describe('Until the connection stands.'),
  headers: duration.default('30s').describe("Until the answer's headers are here."),
  idle: duration.default('60s').describe('Between two pieces of the answer.')
})

const health = map({
  path: urlPath.describe('Asked by GET; 2xx is healthy.'),
  interval: duration
    .default('5s')
    .describe(
      'Between two questions, give or take a tenth. An answer may take 2 s, or `timeout.headers` if that is less.'
    )
})

const tls = map({
  ca: text
    .optional()
    .describe('Authorities that may have signed its certificate, in place of those the system trusts.'),
  cert: text.optional().describe('What the gateway shows when it is asked who it is, with intermediate certificates.'),
  key: text.optional().describe('The private key of `cert`, without a passphrase.')
}).refine(({ ca, cert, key }) => (cert === undefined) === (key === undefined) && (ca ?? cert) !== undefined, {
  error: 'needs a ca, or cert and key, or all three',
  when: ({ issues }) => issues.length === 0
})

export const upstreamSchema = map({
  targets: listOf(target).describe(
    'Origins, `http://orders-1:8000`: http or https, no path, no credentials. The least loaded one is asked.'
  ),
  internalKey: printable
    .optional()
    .describe('Sent as `Authorization: Bearer …`. Keep it in the environment: `${INTERNAL_API_KEY}`.'),
  audience: printable.optional().describe('Adds `X-Gateway-Assertion`, a short-lived JWT for this audience.'),
  timeout: timeout.prefault({}).describe('How long the upstream may take.'),
  retries: count(0, 10)
    .default(0)
    .describe('Further attempts at idempotent requests without a body, when the connection fails before an answer.'),
  health: health.optional().describe('Asks the targets, and leaves out those that are not well.'),
  maxBody: size.optional().describe('Largest request body, 413 beyond. Default: no limit, always streamed.'),
  maxSockets: count(1, 1_000_000)
    .default(100)
    .describe('WebSockets one user may have open at a time, in each process; 429 beyond.'),
  tls: tls
    .optional()
    .describe('Paths of PEM files, relative ones from the folder of this file. All targets must be https.')
}).refine(({ tls, targets }) => tls === undefined || targets.every(one => /^https:/i.test(one)), {
  error: 'is for targets that are all https',
  path: ['tls'],
  when: ({ issues }) => issues.length === 0
})

const demands = map({
  roles: roles.optional().describe('At least one of these roles of the user.'),
  organizationRoles: roles.optional().describe('At least one of these roles in the active organisation.'),
  emailVerified: z.literal(true, 'must be true or left out').optional().describe('A verified e-mail address.'),
  fresh: duration.optional().describe('Signed in no longer ago than this.')
}).refine(all => Object.keys(all).length > 0, {
  error: "demands nothing: write 'session' for any signed-in caller",
  // An unknown key says enough.
  when: ({ issues }) => issues.length === 0
})

const rateLimit = map({
  max: count(1, 1_000_000_000).describe('Requests per window.'),
  window: duration.describe('Length of the window.'),
  by: oneOf('user', 'ip').describe('Whom it counts.')
})

export const routeSchema = map({
  name: name.describe('For logs, metrics and tests. Unique.'),
  path: z
    .string('must be a path')
    .describe('An exact path, or everything at and below one: `/api/orders/*`. Case-sensitive.'),
  methods: listOf(oneOf('GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'))
    .optional()
    .describe('Default: all. GET brings HEAD along.'),
  host: hostName
    .optional()
    .describe(
      'Only requests for this host. Clients choose what they write there: it divides traffic, it protects nothing.'
    ),
  upstream: text.describe('Name of an upstream.'),
  stripPrefix: z.string('must be a path').optional().describe('Leading segments cut off before forwarding: `/api`.'),
  access: z
    .union([oneOf('public', 'optional', 'session'), demands], 'must be public, optional, session or a map of demands')
    .describe('Who may come in. Has no default: no route is open by accident.'),
  consistency: oneOf('cached', 'strict').default('cached').describe('`strict`: PostgreSQL is asked every time.'),
  originCheck: yesOrNo.default(true).describe('Unsafe methods with a cookie need an origin of ours.'),
  onUnauthenticated: z
    .literal('redirect', 'must be redirect or left out')
    .optional()
    .describe('`redirect`: browsers that navigate here are sent to the sign-in page instead of getting a 401.'),
  rateLimit: rateLimit.optional().describe('Requests one caller may make.')
})

const caller = map({
  roles: roles.optional().describe('Roles of the user.'),
  organizationRole: text.optional().describe('Role in the active organisation.'),
  emailVerified: yesOrNo.default(true).describe('Whether the e-mail address is verified.')
})

export const testSchema = map({
  request: text
    .regex(/^[A-Z]+ \/\S*$/, "must be a method and a path: 'GET /api/orders/7'")
    .describe('Method and path: `GET /api/orders/7`.'),
  host: hostName.optional().describe('Default: that of BETTER_AUTH_URL.'),
  as: z
    .union([z.literal('anonymous'), caller], 'must be anonymous or a map such as { roles: [user] }')
    .describe('`anonymous`, or somebody who has just signed in.'),
  expect: z
    .union([count(200, 599), text], 'must be a status, or the name of a route or upstream')
    .describe('Status of the refusal, or the route or upstream that must be reached.')
})

export const gatewaySchema = map({
  upstreams: z
    .record(name, upstreamSchema, 'must be a map of upstreams by name')
    .describe(
      'Services behind the gateway, by name. `${NAME}` in here is a variable of the environment; inside brackets put it in quotes.'
    ),
  routes: z
    .array(routeSchema, 'must be a list')
    .describe('What is routed, and to whom it is open. The longest path wins, then a host, then a method.'),
  tests: z
    .array(testSchema, 'must be a list')
    .default([])
    .describe('Expectations that `session-gateway check` holds the routes to.')
})
