/**
 * From a path to everything filed under it, most specific first: a radix tree over the characters of the
 * paths. A look-up walks the path once, without regular expressions and without allocating.
 */

export interface Filed {
  /** Also below the path, at a segment boundary. */
  readonly wildcard: boolean
}

interface Node<T> {
  readonly label: string
  readonly children: ReadonlyMap<number, Node<T>>
  /** For a path that ends here; null: nothing new is filed here. */
  readonly here: readonly T[] | null
  /** For a path that goes on with a slash. */
  readonly below: readonly T[] | null
}

interface Lists<T> {
  readonly here: readonly T[]
  readonly below: readonly T[] | null
}

const SLASH = 47
const NOTHING: readonly never[] = []

export class PathIndex<T extends Filed> {
  readonly #root: Node<T>

  /** `pathOf`: without a final `/*`; empty for `/*` itself. Values of one path keep their order. */
  constructor(values: readonly T[], pathOf: (value: T) => string) {
    const lists = listsByPath(values, pathOf)
    this.#root = grow([...lists.keys()].toSorted(), 0, lists)
  }

  /** Longest path first; at the same path what is filed there exactly comes before wildcards. */
  lookup(path: string): readonly T[] {
    let node = this.#root
    let found: readonly T[] = NOTHING
    let at = 0
    for (;;) {
      if (at === path.length) return node.here ?? found
      const next = path.charCodeAt(at)
      if (next === SLASH && node.below !== null) found = node.below
      const child = node.children.get(next)
      if (child === undefined || !path.startsWith(child.label, at)) return found
      node = child
      at += child.label.length
    }
  }
}

/** Every list already holds what is filed under shorter paths, so a look-up needs no way back up. */
function listsByPath<T extends Filed>(values: readonly T[], pathOf: (value: T) => string): Map<string, Lists<T>> {
  const lists = new Map<string, Lists<T>>()
  const paths = new Set(['', ...values.map(pathOf)])
  // Shorter paths first: what is inherited is there before it is asked for.
  for (const path of [...paths].toSorted((one, other) => one.length - other.length)) {
    const own = values.filter(value => pathOf(value) === path)
    const wildcards = own.filter(({ wildcard }) => wildcard)
    const below = [...wildcards, ...inherited(path, lists)]
    const here = [...own.filter(({ wildcard }) => !wildcard), ...below]
    lists.set(path, { here, below: wildcards.length === 0 ? null : below })
  }
  return lists
}

function inherited<T>(path: string, lists: ReadonlyMap<string, Lists<T>>): readonly T[] {
  for (let slash = path.lastIndexOf('/'); slash >= 0; slash = path.lastIndexOf('/', slash - 1)) {
    const below = lists.get(path.slice(0, slash))?.below
    if (below != null) return below
    if (slash === 0) break
  }
  return NOTHING
}

/** `paths` is sorted and shares its first `start` characters. */
function grow<T>(paths: readonly string[], start: number, lists: ReadonlyMap<string, Lists<T>>): Node<T> {
  const first = paths[0] ?? ''
  const last = paths.at(-1) ?? ''
  let end = start
  // What the first and the last of a sorted list share, all between them share.
  while (end < first.length && first[end] === last[end]) end++

  const branches = new Map<number, string[]>()
  for (const path of paths) {
    const code = path.charCodeAt(end)
    if (path.length > end) branches.set(code, [...(branches.get(code) ?? []), path])
  }
  const own = lists.get(first.slice(0, end))
  return {
    label: first.slice(start, end),
    children: new Map([...branches].map(([code, branch]) => [code, grow(branch, end, lists)])),
    here: own?.here ?? null,
    below: own?.below ?? null
  }
}
