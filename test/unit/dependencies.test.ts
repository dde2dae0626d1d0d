/** Each package we depend on has its line of reason in CONTRIBUTING.md, and no line outlives its package. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { ROOT } from '../support/root.js'

const KINDS = ['dependencies', 'optionalDependencies', 'devDependencies', 'overrides'] as const

type Manifest = Partial<Record<(typeof KINDS)[number], Readonly<Record<string, string>>>>

const manifest = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as Manifest
const contributing = await readFile(join(ROOT, 'CONTRIBUTING.md'), 'utf8')

/** The rows of the tables under "Dependencies": name → reason. A row may name several packages. */
function reasonsByPackage(markdown: string): Map<string, string> {
  const section = /^## Dependencies$([\s\S]*?)(?=^## |$(?![\s\S]))/m.exec(markdown)?.[1] ?? ''
  const reasons = new Map<string, string>()
  for (const [, names = '', reason = ''] of section.matchAll(/^\| (`.+`) \| (.*) \|$/gm)) {
    for (const [, name = ''] of names.matchAll(/`([^`]+)`/g)) reasons.set(name, reason.trim())
  }
  return reasons
}

const reasons = reasonsByPackage(contributing)
const packages = new Set(KINDS.flatMap(kind => Object.keys(manifest[kind] ?? {})))

t.test('every dependency in package.json has a reason in CONTRIBUTING.md', async t => {
  const without = [...packages].filter(name => (reasons.get(name) ?? '').length < 20)

  t.strictSame(without, [])
})

t.test('every reason is for a package that is there', async t => {
  t.strictSame(
    [...reasons.keys()].filter(name => !packages.has(name)),
    []
  )
})

t.test('versions are exact: what was tested is what is installed', async t => {
  for (const kind of KINDS) {
    for (const [name, version] of Object.entries(manifest[kind] ?? {})) {
      t.match(version, /^\d+\.\d+\.\d+(-[\w.]+)?$/, `${kind} ${name} ${version}`)
    }
  }
})
