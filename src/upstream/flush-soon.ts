/** Heads of answers whose body has not begun by the end of the turn: nearly all of them are done by then. */
export interface HeldHead {
  flushHead: () => void
}

let held: HeldHead[] = []

export function flushSoon(head: HeldHead): void {
  if (held.length === 0) setImmediate(flushAll)
  held.push(head)
}

function flushAll(): void {
  const waiting = held
  held = []
  for (const head of waiting) head.flushHead()
}
