/** What the documents say is what the code does. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { GENERATED } from '../../schema/generate-docs.js'
import { VARIABLES } from '../../src/config/variables.js'
import { ERRORS } from '../../src/errors.js'
import { ROOT } from '../support/root.js'

function read(path: string): Promise<string> {
  return readFile(join(ROOT, path), 'utf8')
}

t.test('generated files are fresh; npm run docs writes them anew', async t => {
  for (const [path, content] of Object.entries(GENERATED)) t.equal(await read(path), content, path)
})

t.test('docs/errors.md has every code with its status and message, and no other', async t => {
  const rows = [...(await read('docs/errors.md')).matchAll(/^\| `([A-Z_]+)` \| (\d+) \| (.+?) \|/gm)]

  t.strictSame(
    rows.map(([, code, status, message]) => ({ code, status: Number(status), message })),
    Object.entries(ERRORS).map(([code, entry]) => ({ code, ...entry }))
  )
})

t.test('.env.example has every variable, and no other', async t => {
  const names = [...(await read('.env.example')).matchAll(/^#?([A-Z][A-Z_]*)=/gm)].map(([, name]) => name)

  t.strictSame(names.toSorted(), VARIABLES.map(({ name }) => name as string).toSorted())
})

t.test('.env.example sets nothing, and so it is safe to copy', async t => {
  const lines = (await read('.env.example')).split('\n').filter(line => line !== '' && !line.startsWith('#'))

  t.strictSame(lines, [])
})

t.test('the example gateway.yaml names the schema for editors in its first line', async t => {
  const [first] = (await read('gateway.example.yaml')).split('\n')

  t.equal(first, '# yaml-language-server: $schema=./schema/gateway.schema.json')
})
