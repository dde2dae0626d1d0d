import t from 'tap'
import { parseRedisUrl } from '../../../src/data/redis-address.js'
import { ConfigError } from '../../../src/errors.js'

t.test('one server: host, port, database, login', async t => {
  t.strictSame(parseRedisUrl('redis://cache'), { host: 'cache', port: 6379, db: 0 })
  t.strictSame(parseRedisUrl('redis://cache:6380/2'), { host: 'cache', port: 6380, db: 2 })
  t.strictSame(parseRedisUrl('redis://[::1]:6380'), { host: '::1', port: 6380, db: 0 })
  t.strictSame(parseRedisUrl('redis://:p%40ss:word@cache/'), {
    password: 'p@ss:word',
    host: 'cache',
    port: 6379,
    db: 0
  })
  t.strictSame(parseRedisUrl('rediss://ada:secret@cache'), {
    username: 'ada',
    password: 'secret',
    host: 'cache',
    port: 6379,
    db: 0,
    tls: {}
  })
})

t.test('Sentinels: their addresses and the name of the master', async t => {
  t.strictSame(parseRedisUrl('redis+sentinel://:secret@s1,s2:26380/main'), {
    password: 'secret',
    sentinels: [
      { host: 's1', port: 26379 },
      { host: 's2', port: 26380 }
    ],
    name: 'main'
  })
})

t.test('a cluster: whoever owns our slot', async t => {
  const { Connector, password } = parseRedisUrl('redis+cluster://:secret@c1,c2:6380')

  t.type(Connector, 'function')
  t.equal(password, 'secret')
})

t.test('what is none of the four forms is a configuration error that does not repeat the secret', async t => {
  const wrong = [
    'cache:6379',
    'http://:hunter2@cache',
    'redis://',
    'redis://:hunter2@',
    'redis://:hunter2@a,b',
    'redis://:hunter2@cache/not-a-number',
    'redis://:hunter2@cache:port',
    'redis://:hunter2@cache?family=6',
    'redis://:hunter2%zz@cache',
    'redis+sentinel://:hunter2@s1,s2',
    'redis+sentinel://:hunter2@/main',
    'redis+cluster://:hunter2@c1,,c2'
  ]
  for (const url of wrong) {
    const error = refusalOf(url)
    t.equal(error?.problems[0]?.place, 'env REDIS_URL', url)
    t.notMatch(error?.message, /hunter2/)
  }
})

function refusalOf(url: string): ConfigError | null {
  try {
    parseRedisUrl(url)
    return null
  } catch (error) {
    return error instanceof ConfigError ? error : null
  }
}
