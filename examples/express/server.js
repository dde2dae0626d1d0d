/**
 * An upstream behind session-gateway: it trusts what the gateway says about the caller, and nobody else.
 *
 * Every request but /health must carry the internal key, which only the gateway and this service know, and the
 * X-User-ID header, which the gateway writes after it has checked the session and removed the client's own copies.
 * With GATEWAY_JWKS_URL set, the signed X-Gateway-Assertion is checked as well.
 *
 * Environment: INTERNAL_API_KEY (or INTERNAL_API_KEY_FILE), PORT, HOST; optional GATEWAY_JWKS_URL, GATEWAY_ISSUER,
 * GATEWAY_AUDIENCE.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import { readFileSync } from 'node:fs'
import express from 'express'
import { createRemoteJWKSet, errors, jwtVerify } from 'jose'

const internalKey = secret('INTERNAL_API_KEY')
const jwksUrl = process.env.GATEWAY_JWKS_URL
const jwks = jwksUrl ? createRemoteJWKSet(new URL(jwksUrl)) : null
const issuer = process.env.GATEWAY_ISSUER ?? 'http://localhost:8080'
const audience = process.env.GATEWAY_AUDIENCE ?? 'orders'

const app = express()
app.disable('x-powered-by')

/** For the gateway's probe; says nothing about anybody. */
app.get('/health', (_request, response) => response.json({ status: 'ok' }))

app.use(fromGateway)
if (jwks !== null) app.use(withAssertion)
// Bodies only after the caller is known: a stranger's upload is never parsed.
app.use(express.json({ limit: '100kb' }))

const orders = new Map()

app.get('/api/profile', (request, response) => {
  const { userId, email, roles } = request.caller
  response.json({ user_id: userId, email, roles })
})

app.get('/api/orders', (request, response) => {
  const { userId } = request.caller
  response.json({ user_id: userId, orders: orders.get(userId) ?? [] })
})

app.post('/api/orders', (request, response) => {
  const item = request.body?.item
  if (typeof item !== 'string') return response.status(422).json({ detail: 'item must be a string' })
  const mine = orders.get(request.caller.userId) ?? []
  const order = { id: mine.length + 1, item }
  orders.set(request.caller.userId, [...mine, order])
  response.status(201).json(order)
})

app.get('/api/orders/admin/all', requireRole('admin'), (_request, response) => {
  response.json({ orders: Object.fromEntries(orders) })
})

app.get('/api/admin/health', requireRole('admin'), (request, response) => {
  response.json({ status: 'ok', user_id: request.caller.userId })
})

const host = process.env.HOST ?? '127.0.0.1'
const server = app.listen(Number(process.env.PORT ?? 3011), host, error => {
  if (error) throw error
  console.log(`Express running on http://${host}:${server.address().port}`)
})
process.once('SIGTERM', () => server.close())

/** The part to copy: who sent this, and for whom. The id is an opaque string, whatever it looks like. */
function fromGateway(request, response, next) {
  const [, key] = /^bearer (.+)$/i.exec(request.get('authorization') ?? '') ?? []
  if (key === undefined) return refuse(response, 'Missing API key')
  if (!sameSecret(key, internalKey)) return refuse(response, 'Invalid API key')
  const userId = request.get('x-user-id')
  if (!userId) return refuse(response, 'Missing user ID')

  // Headers are ASCII; the gateway percent-encodes the rest.
  const email = request.get('x-user-email')
  const roles = (request.get('x-user-roles') ?? '').split(',').filter(role => role !== '')
  request.caller = {
    userId: decodeURIComponent(userId),
    email: email === undefined ? null : decodeURIComponent(email),
    roles: roles.map(decodeURIComponent)
  }
  next()
}

async function withAssertion(request, response, next) {
  const assertion = request.get('x-gateway-assertion')
  if (!assertion) return refuse(response, 'Missing assertion')
  try {
    const { payload } = await jwtVerify(assertion, jwks, {
      // Named here, never taken from the token: RFC 8725, section 3.1.
      algorithms: ['EdDSA'],
      audience,
      issuer,
      clockTolerance: 5,
      requiredClaims: ['exp', 'iat', 'sub']
    })
    if (payload.sub !== request.caller.userId) return refuse(response, 'Invalid assertion')
  } catch (error) {
    // We cannot know: that is our trouble, not the caller's.
    if (isOutage(error)) return response.status(503).json({ detail: 'Keys of the gateway cannot be fetched' })
    return refuse(response, 'Invalid assertion')
  }
  next()
}

/** The gateway refuses first; this holds on the day a route is forgotten there. */
function requireRole(role) {
  return function checkRole(request, response, next) {
    if (!request.caller.roles.includes(role)) return response.status(403).json({ detail: 'Insufficient role' })
    next()
  }
}

function refuse(response, detail) {
  response.status(401).set('www-authenticate', 'Bearer').json({ detail })
}

/** Hashed first: timingSafeEqual wants equal lengths, and the length is part of the secret. */
function sameSecret(offered, expected) {
  return timingSafeEqual(sha256(offered), sha256(expected))
}

function sha256(text) {
  return createHash('sha256').update(text).digest()
}

/** jose speaks of a bad token by its own errors; a key server that is down or answers nonsense is none of those. */
function isOutage(error) {
  return !(error instanceof errors.JOSEError) || ['ERR_JOSE_GENERIC', 'ERR_JWKS_TIMEOUT'].includes(error.code)
}

function secret(name) {
  const path = process.env[`${name}_FILE`]
  const value = path ? readFileSync(path, 'utf8').trim() : process.env[name]
  // An empty key would make every caller with an empty key trusted: refuse to start instead.
  if (!value) throw new Error(`${name} is not set`)
  return value
}
