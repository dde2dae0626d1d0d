/** The radix tree against the plainest way to say the same: go through everything and sort. */
import assert from 'node:assert/strict'
import * as fc from 'fast-check'
import t from 'tap'
import { PathIndex } from '../../../src/routes/path-index.js'

interface Entry {
  readonly path: string
  readonly wildcard: boolean
}

function indexOf(entries: readonly Entry[]): PathIndex<Entry> {
  return new PathIndex(entries, ({ path }) => path)
}

function model(entries: readonly Entry[], path: string): Entry[] {
  return entries
    .filter(entry => path === entry.path || (entry.wildcard && path.startsWith(`${entry.path}/`)))
    .toSorted((a, b) => b.path.length - a.path.length || Number(a.wildcard) - Number(b.wildcard))
}

t.test('an empty index finds nothing', async t => {
  t.strictSame(indexOf([]).lookup('/a'), [])
})

t.test('a wildcard matches the path itself and below it, at a segment boundary only (A12)', async t => {
  const all = { path: '', wildcard: true }
  const a = { path: '/api/a', wildcard: true }
  const index = indexOf([all, a])

  for (const path of ['/api/a', '/api/a/', '/api/a/x', '/api/a/x/y']) t.strictSame(index.lookup(path), [a, all], path)
  for (const path of ['/api/ax', '/api/a.evil', '/api/a-b/c', '/api', '/API/a/x', '/']) {
    t.strictSame(index.lookup(path), [all], path)
  }
})

t.test('20,000 look-ups find what a plain search finds, in the same order', async t => {
  const segment = fc.constantFrom('a', 'ab', 'abc', 'A')
  const path = fc.array(segment, { maxLength: 4 }).map(segments => segments.map(one => `/${one}`).join(''))
  const asked = fc.tuple(path, fc.constantFrom('', '/')).map(([one, slash]) => `${one}${slash}`)
  let found = 0
  fc.assert(
    fc.property(
      fc.array(fc.tuple(path, fc.boolean()), { maxLength: 12 }),
      fc.array(asked, { minLength: 10, maxLength: 10 }),
      (pairs, paths) => {
        const distinct = new Map(pairs.map(([one, wildcard]) => [`${one} ${wildcard}`, { path: one, wildcard }]))
        const entries = [...distinct.values()].filter(entry => entry.wildcard || entry.path !== '')
        const index = indexOf(entries)
        for (const one of paths.filter(one => one !== '')) {
          const list = index.lookup(one)
          found += list.length
          assert.deepEqual(list, model(entries, one))
        }
      }
    ),
    { numRuns: 2000 }
  )
  t.ok(found > 5_000, `${found} found`)
})
