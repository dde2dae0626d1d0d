/**
 * What an upstream may tell a client through the whole gateway: redirects, caching, cookies, CORS (B10, B11, B12, E12,
 * G29).
 */
import t from 'tap'
import { startAttack } from '../support/attack.js'

const APP = 'https://app.test'
const { gateway, send, user } = await startAttack(t, {
  env: { CORS_ORIGINS: APP },
  redis: false,
  yaml: `
upstreams:
  orders: { targets: [$UPSTREAM] }
routes:
  - { name: orders, path: /api/orders/*, upstream: orders, stripPrefix: /api, access: session }
  - { name: optional, path: /optional/*, upstream: orders, access: optional }
  - { name: public, path: /public/*, upstream: orders, access: public }
`
})
const { upstream } = gateway

/** The gateway's answer when the upstream's has these headers. */
async function answerTo(path: string, headers: Record<string, string | string[]>, lines: string[] = []) {
  upstream.respond = (request, response) => {
    request.resume()
    response.writeHead(headers['location'] === undefined ? 200 : 302, { ...headers, 'content-length': 0 }).end()
  }
  return (await send(`GET ${path}`, lines)).answer
}

t.test('a redirect leads back through the gateway, with the prefix the route cuts', async t => {
  const { host } = new URL(upstream.origin)
  const cases = [
    [`http://${host}/orders/7/`, '/api/orders/7/'],
    [`https://${host}/orders/7?a=b#c`, '/api/orders/7?a=b#c'],
    ['/orders/7', '/api/orders/7'],
    ['7', '7'],
    ['/login', '/login'],
    ['https://shop.test/orders/7', 'https://shop.test/orders/7'],
    ['//shop.test/orders/7', '//shop.test/orders/7']
  ] as const
  for (const [location, expected] of cases) {
    const answer = await answerTo('/api/orders/x', { location }, [user.cookieLine])
    t.strictSame([answer.status, answer.all('location')], [302, [expected]], location)
  }
  t.equal((await answerTo('/public/x', { location: `${upstream.origin}/public/y` })).header('location'), '/public/y')
  t.equal((await answerTo('/public/x', { location: '/orders/7' })).header('location'), '/orders/7')
})

t.test('a client that follows an upstream’s redirect arrives', async t => {
  upstream.respond = (request, response) => {
    if (request.url === '/orders/7/') response.end('arrived')
    else response.writeHead(307, { location: `http://${request.headers.host}${request.url}/` }).end()
  }
  const answer = await fetch(`http://localhost:${gateway.port}/api/orders/7`, { headers: { cookie: user.cookie } })

  t.strictSame([answer.status, await answer.text()], [200, 'arrived'])
  t.equal(new URL(answer.url).pathname, '/api/orders/7/')
})

/** Its Cache-Control and Vary. */
async function told(path: string, headers: Record<string, string>, lines: string[]): Promise<[string, string]> {
  const answer = await answerTo(path, headers, lines)
  return [answer.all('cache-control').join(), answer.all('vary').join()]
}

t.test('an answer to somebody is for nobody else, unless the upstream says so (G29)', async t => {
  const signedIn = [user.cookieLine]

  t.strictSame(await told('/api/orders/x', {}, signedIn), ['private', 'Cookie, Authorization,Origin'])
  t.strictSame(await told('/optional/x', {}, signedIn), ['private', 'Cookie, Authorization,Origin'])
  t.strictSame(await told('/api/orders/x', { 'cache-control': 'max-age=5' }, signedIn), ['max-age=5', 'Origin'])
  t.strictSame(await told('/api/orders/x', { location: '/orders/7' }, signedIn), [
    'private',
    'Cookie, Authorization,Origin'
  ])
  t.strictSame(await told('/optional/x', {}, []), ['', 'Origin'], 'nobody was signed in')
  t.strictSame(await told('/public/x', {}, signedIn), ['', 'Origin'], 'nobody was looked for')
})

t.test('one word on CORS, no identity, no session, no product (B11, B12, E12)', async t => {
  const headers = {
    'access-control-allow-origin': '*',
    'access-control-allow-credentials': 'true',
    'set-cookie': ['better-auth.session_token=x', '__Host-Http-better-auth.session_data=x', 'theme=dark'],
    'x-user-id': 'ada',
    x_session_id: 's',
    'x-gateway-assertion': 'jwt',
    server: 'nginx/1.25',
    'x-powered-by': 'Express'
  }
  const answer = await answerTo('/public/x', headers, [`Origin: ${APP}`])

  t.strictSame(answer.all('access-control-allow-origin'), [APP])
  t.strictSame(answer.all('access-control-allow-credentials'), ['true'])
  t.strictSame(answer.all('set-cookie'), ['theme=dark'])
  t.notMatch(answer.rawHeaders.join('\n'), /ada|x.session|jwt|nginx|Express/)
})
