/** Private keys of the jwt plugin through a change of secret (R56, C24). */
import t from 'tap'
import { startAuthServer } from '../support/auth-server.js'
import { startPostgres } from '../support/postgres.js'

const A = { version: 1, value: 'secret-a-for-tests-of-32-characters-or-more' }
const B = { version: 2, value: 'secret-b-for-tests-of-32-characters-or-more' }

t.test('a key is encrypted anew under the newest secret, and so outlives the older one', async t => {
  const postgres = await startPostgres(t)
  const kidsOf = async (options: Parameters<typeof startAuthServer>[2]) => {
    const { url, text } = await startAuthServer(t, postgres, options)
    const { keys } = (await (await fetch(`${url}/.well-known/jwks.json`)).json()) as { keys: { kid: string }[] }
    return { kids: keys.map(({ kid }) => kid), log: text() }
  }

  const { kids } = await kidsOf({ secrets: [A] })
  t.equal(kids.length, 1)
  const young = await kidsOf({ secrets: [B, A] })
  t.notMatch(young.log, 'encrypted_anew', 'not while a process may run that knows the older secret only')
  t.strictSame((await kidsOf({ secrets: [A] })).kids, kids, 'which can read it still')
  const settled = await kidsOf({ secrets: [B, A], rewriteKeys: true })
  t.match(settled.log, 'jwks.encrypted_anew')
  t.notMatch((await kidsOf({ secrets: [B, A], rewriteKeys: true })).log, 'encrypted_anew', 'once')
  t.strictSame((await kidsOf({ secrets: [B] })).kids, kids, 'the older secret is gone, the key is not')
})
