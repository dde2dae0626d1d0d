import { readFileSync } from 'node:fs'
import { generateDrizzleJson, generateMigration } from 'drizzle-kit/api'
import { getTableColumns } from 'drizzle-orm'
import t from 'tap'
import * as schema from '../../../schema/auth.js'
import { AUTH_MODEL_NAMES, authModel } from '../../../src/data/auth-models.js'

type Snapshot = Parameters<typeof generateMigration>[0]

const { auth: _schema, AUTH_SCHEMA, ...tables } = schema

t.test('the migrations make exactly the tables of schema/auth.ts (npm run db:generate)', async t => {
  const folder = new URL('../../../schema/migrations/meta/', import.meta.url)
  const { entries } = JSON.parse(readFileSync(new URL('_journal.json', folder), 'utf8')) as {
    entries: { idx: number }[]
  }
  const last = String(entries.at(-1)?.idx).padStart(4, '0')
  const made = JSON.parse(readFileSync(new URL(`${last}_snapshot.json`, folder), 'utf8')) as Snapshot

  const statements = await generateMigration(made, generateDrizzleJson(schema, undefined, [AUTH_SCHEMA]))

  t.same(statements, [])
})

for (const [name, table] of Object.entries(tables)) {
  t.test(`"${name}" has the columns Better Auth writes, in snake_case, times with a zone`, async t => {
    const model = AUTH_MODEL_NAMES.find(each => each === name)
    t.ok(model)
    const fields = model === undefined ? {} : authModel(model).fields
    const expected = Object.entries(fields).filter(([, { plugin }]) => plugin !== 'twoFactor')
    const columns = getTableColumns(table)

    t.same(Object.keys(columns).toSorted(), ['id', ...expected.map(([field]) => field)].toSorted())
    for (const [field, { type }] of expected) {
      const column = Object.entries(columns).find(([key]) => key === field)?.[1]
      t.equal(
        column?.name,
        field.replaceAll(/[A-Z]/g, letter => `_${letter.toLowerCase()}`)
      )
      if (type === 'date') t.equal(column?.getSQLType(), 'timestamp with time zone')
    }
  })
}
