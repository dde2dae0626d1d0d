/**
 * Every state a small model can reach, breadth first, so that the first violation found has the shortest history.
 *
 * A state is groups of small whole numbers, and all of it one number below 2^53 (mixed radix, by the layout): three
 * million states take some 80 MB and a few seconds. What may happen next is a list of atomic steps. There is no
 * fairness: whatever can happen may also never happen, so a lost message, a crash or a paused process is a step that is
 * never taken. Time is a step as well ("a unit of time passes"), possible between any two others.
 */

/** How many values each field has. */
export type Layout = Readonly<Record<string, Readonly<Record<string, number>>>>
export type StateOf<L extends Layout> = { -readonly [G in keyof L]: { -readonly [F in keyof L[G]]: number } }

/** A copy of the state to be changed: what follows from it by the step of that name. */
export type Step<L extends Layout> = (name: string) => StateOf<L>

export interface Model<L extends Layout> {
  readonly layout: L
  /** All other fields begin at 0. */
  readonly start: { readonly [G in keyof L]?: { readonly [F in keyof L[G]]?: number } }
  readonly next: (state: StateOf<L>, step: Step<L>) => void
  /** The property that must never be violated. */
  readonly bad: (state: StateOf<L>) => boolean
  /** What must be reachable, or that the property holds would mean nothing. */
  readonly witnesses?: Readonly<Record<string, (state: StateOf<L>) => boolean>>
}

export interface Outcome {
  readonly holds: boolean
  readonly states: number
  readonly ms: number
  /** The shortest history of a violation; empty when there is none. */
  readonly trace: readonly string[]
  /** Witnesses that were met. */
  readonly seen: ReadonlySet<string>
}

const LIMIT = 12_000_000

export function explore<L extends Layout>(model: Model<L>): Outcome {
  const begunAt = performance.now()
  const codec = createCodec(model.layout)
  const visited = new Visited()
  const seen = new Set<string>()
  const witnesses = Object.entries(model.witnesses ?? {})
  const outcome = (trace: readonly string[]): Outcome => ({
    holds: trace.length === 0,
    states: visited.size,
    ms: Math.round(performance.now() - begunAt),
    trace,
    seen
  })

  visited.add(codec.pack(startOf(model)), -1)
  for (let at = 0; at < visited.size; at++) {
    const state = codec.unpack(visited.at(at))
    for (const [name, met] of witnesses) if (!seen.has(name) && met(state)) seen.add(name)
    if (model.bad(state)) return outcome(traceTo(model, codec, visited, at))
    successors(model, state, codec, (_name, packed) => visited.add(packed, at))
    if (visited.size > LIMIT) throw new RangeError(`more than ${LIMIT} states`)
  }
  return outcome([])
}

type Codec<L extends Layout> = ReturnType<typeof createCodec<L>>

function successors<L extends Layout>(
  model: Model<L>,
  state: StateOf<L>,
  { copy, pack }: Codec<L>,
  found: (name: string, packed: number) => void
): void {
  let open: StateOf<L> | null = null
  let openName = ''
  const close = () => {
    if (open !== null) found(openName, pack(open))
  }
  model.next(state, name => {
    close()
    openName = name
    open = copy(state)
    return open
  })
  close()
}

function startOf<L extends Layout>({ layout, start }: Model<L>): StateOf<L> {
  const groups = Object.entries(layout).map(([group, fields]) => {
    const zeros = Object.keys(fields).map(field => [field, 0] as const)
    return [group, { ...Object.fromEntries(zeros), ...start[group] }] as const
  })
  return Object.fromEntries(groups) as StateOf<L>
}

/** Names are not kept with the states: each state of the history is left once more, to see how. */
function traceTo<L extends Layout>(model: Model<L>, codec: Codec<L>, visited: Visited, last: number): string[] {
  const trace: string[] = []
  for (let at = last, from = visited.parent(at); from >= 0; at = from, from = visited.parent(at)) {
    let name = ''
    successors(model, codec.unpack(visited.at(from)), codec, (step, packed) => {
      if (name === '' && packed === visited.at(at)) name = step
    })
    trace.push(name)
  }
  return trace.toReversed()
}

/** Written out as code: read by name, field after field, it takes six times as long. */
function createCodec<L extends Layout>(layout: L) {
  const groups = Object.entries(layout).map(([group, fields]) => ({ group, fields: Object.entries(fields) }))
  const flat = groups.flatMap(({ group, fields }) => fields.map(([field, values]) => ({ group, field, values })))
  const space = flat.reduce((product, { values }) => product * values, 1)
  if (space > Number.MAX_SAFE_INTEGER) throw new RangeError(`${Math.log2(space).toFixed(1)} bits: too many`)

  const object = (value: (group: string, field: string) => string) =>
    `({${groups.map(({ group, fields }) => `${group}: {${fields.map(([field]) => `${field}: ${value(group, field)}`).join()}}`).join()}})`
  const digits = flat.map(({ group, field, values }) => `p = p * ${values} + s.${group}.${field};`)
  const parts = flat
    .toReversed()
    .map(
      ({ group, field, values }) => `q = Math.floor(p / ${values}); const ${group}_${field} = p - q * ${values}; p = q;`
    )
  return {
    pack: compile<(state: StateOf<L>) => number>('s', `let p = 0; ${digits.join('')} return p`),
    unpack: compile<(packed: number) => StateOf<L>>(
      'p',
      `let q; ${parts.join('')} return ${object((group, field) => `${group}_${field}`)}`
    ),
    copy: compile<(state: StateOf<L>) => StateOf<L>>('s', `return ${object((group, field) => `s.${group}.${field}`)}`)
  }
}

function compile<F>(parameter: string, body: string): F {
  return new Function(parameter, body) as F
}

/** A set of numbers in the order they came, each with the place of the one it came from. */
class Visited {
  size = 0
  #states = new Float64Array(1 << 16)
  #parents = new Int32Array(1 << 16)
  /** Places plus one; 0: free. Open addressing, at most half full. */
  #slots = new Int32Array(1 << 17)

  at(place: number): number {
    return this.#states[place] ?? -1
  }

  parent(place: number): number {
    return this.#parents[place] ?? -1
  }

  add(state: number, parent: number): void {
    const slot = this.#slotOf(state)
    if (this.#slots[slot] !== 0) return
    if (this.size === this.#states.length) {
      this.#grow()
      this.add(state, parent)
      return
    }
    this.#states[this.size] = state
    this.#parents[this.size] = parent
    this.#slots[slot] = ++this.size
  }

  #slotOf(state: number): number {
    const mask = this.#slots.length - 1
    let hash = Math.imul(state >>> 0, 0x9e3779b1) ^ Math.imul((state / 0x100000000) >>> 0, 0x85ebca6b)
    hash ^= hash >>> 15
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const place = this.#slots[slot] ?? 0
      if (place === 0 || this.#states[place - 1] === state) return slot
    }
  }

  #grow(): void {
    const [states, parents] = [this.#states, this.#parents]
    this.#states = new Float64Array(states.length * 2)
    this.#states.set(states)
    this.#parents = new Int32Array(parents.length * 2)
    this.#parents.set(parents)
    this.#slots = new Int32Array(this.#slots.length * 2)
    for (let place = 0; place < this.size; place++) this.#slots[this.#slotOf(this.at(place))] = place + 1
  }
}
