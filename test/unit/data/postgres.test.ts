import t from 'tap'
import { createAuthPool, createDirectClient, createLookupPool, isPooler } from '../../../src/data/postgres.js'

t.test('a transaction pooler is told by its name, its port or its parameter, anything else is none (R71)', async t => {
  const poolers = [
    'postgres://u:p@ep-cool-1-pooler.eu-central-1.aws.neon.tech/db?sslmode=require',
    'postgres://u:p@db.example.com:6432/db',
    'postgres://u:p@aws-0-eu.pooler.supabase.com:6543/postgres',
    'postgres://u:p@h1:6432,h2:6432/db',
    'postgres://u:p@db.example.com:5432/db?pgbouncer=true',
    'postgres://u:p@db.example.com/db?sslmode=require&pgbouncer=true'
  ]
  const others = [
    'postgres://u:p@db.example.com/db',
    'postgres://u:p@db.example.com:5432/db?sslmode=require',
    'postgres://u:6432@db.example.com:5432/db',
    'postgres://u:p@db.example.com:5432/db?pgbouncer=false',
    'postgres://u:p@127.0.0.1:16432/db'
  ]

  for (const url of poolers) t.equal(isPooler(url), true, url)
  for (const url of others) t.equal(isPooler(url), false, url)
})

t.test('through a pooler nothing is sent that a pooler refuses: no prepared statements, no settings', async t => {
  const pooled = createLookupPool('postgres://u:p@127.0.0.1:6432/db?pgbouncer=true&schema=auth&connection_limit=5', 10)
  const direct = createLookupPool('postgres://u:p@127.0.0.1:5999/db', 10)

  t.equal(pooled.options.prepare, false)
  t.same(pooled.options.connection, { application_name: 'session-gateway' })
  t.equal(direct.options.prepare, true)
  t.match(direct.options.connection, { statement_timeout: 800 })
})

t.test('parameters of other tools are not sent to the server, its own are', async t => {
  const url = 'postgres://u:p@127.0.0.1:5999/db?schema=public&pgbouncer=false&channel_binding=require&search_path=x'

  t.same(createDirectClient(url).options.connection, { application_name: 'session-gateway direct', search_path: 'x' })
})

t.test('the three kinds of connections have limits of their own (R69, R70)', async t => {
  const url = 'postgres://u:p@127.0.0.1:5999/db'

  t.equal(createLookupPool(url, 7).options.max, 7)
  t.ok(createAuthPool(url).options.max > 1)
  t.match(createAuthPool(url).options.connection, { statement_timeout: 5000 })
  t.notOk('statement_timeout' in createDirectClient(url).options.connection)
})

t.test('retries wait longer each time and never longer than a second (R65)', async t => {
  const { backoff } = createLookupPool('postgres://u:p@127.0.0.1:5999/db', 1).options
  if (typeof backoff !== 'function') throw new Error('a function')

  const waits = [0, 1, 2, 3, 4, 10, 50].map(backoff)

  t.ok(waits.every(seconds => seconds > 0 && seconds <= 1))
  t.ok((waits[0] ?? 1) <= 0.02)
  t.ok((waits[6] ?? 0) >= 0.5)
})
