import { getAuthTables } from 'better-auth/db'
import { admin, bearer, jwt, organization, twoFactor } from 'better-auth/plugins'
import t from 'tap'
import { AUTH_MODELS, AUTH_MODEL_NAMES, authModel, type FieldType } from '../../../src/data/auth-models.js'

const tables = getAuthTables({ plugins: [admin(), bearer(), jwt(), organization(), twoFactor()] })
const TYPES: Readonly<Record<string, FieldType>> = {
  string: 'string',
  boolean: 'boolean',
  number: 'number',
  date: 'date'
}

t.test('our list has exactly the tables Better Auth writes', async t => {
  t.same(new Set(AUTH_MODEL_NAMES), new Set(Object.keys(tables)))
})

for (const name of AUTH_MODEL_NAMES) {
  t.test(`our list has exactly the columns Better Auth writes to "${name}"`, async t => {
    const expected = Object.entries(tables[name]?.fields ?? {})

    const ours = authModel(name).fields

    t.same(Object.keys(ours).toSorted(), expected.map(([field]) => field).toSorted())
    for (const [field, { type, required, unique, references }] of expected) {
      const spec = ours[field]
      t.equal(spec?.type, references === undefined ? TYPES[String(type)] : 'reference', field)
      t.equal(spec?.references, references?.model, field)
      t.equal(spec?.notNull === true, required === true, field)
      t.equal(spec?.unique === true, unique === true, field)
    }
  })
}

t.test('what marks a model is among its fields, and no other model has all of it', async t => {
  for (const name of AUTH_MODEL_NAMES) {
    const { markedBy } = AUTH_MODELS[name]
    for (const other of AUTH_MODEL_NAMES) {
      const has = markedBy.every(field => field in authModel(other).fields)
      t.equal(has, other === name, `${name} in ${other}`)
    }
  }
})
