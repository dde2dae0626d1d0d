/**
 * Snapshots of PostgreSQL, as text: 'xmin:xmax:xip,xip'. One sees the transactions below xmax that are not among those
 * that were running (xip). Those of one server follow each other: what one sees, every later one sees.
 */

/** Whether PostgreSQL takes the text for a snapshot: 0 < xmin <= xip in order < xmax. */
export function isSnapshot(text: string): boolean {
  const [, xmin = '0', xmax = '0', xip = ''] = /^(\d+):(\d+):([\d,]*)$/.exec(text) ?? []
  const running = xip === '' ? [] : xip.split(',').map(BigInt)
  let last = BigInt(xmin)
  if (last === 0n || last > BigInt(xmax)) return false
  for (const id of running) {
    if (id < last || id >= BigInt(xmax)) return false
    last = id
  }
  return true
}

/** Whether that snapshot sees the transaction of a row; '' sees none. */
export function seenBy(snapshot: string): (row: { readonly xid: string }) => boolean {
  const { xmax, xip } = parse(snapshot)
  const running = new Set(xip.split(','))
  return ({ xid }) => BigInt(xid) < xmax && !running.has(xid)
}

/** The earlier of two snapshots of one server. */
export function earlier(one: string, other: string): string {
  const [a, b] = [parse(one), parse(other)]
  if (a.xmax !== b.xmax) return a.xmax < b.xmax ? one : other
  // Below xmax nothing begins any more: the later list is a part of the earlier one.
  return a.xip.length >= b.xip.length ? one : other
}

function parse(snapshot: string): { readonly xmax: bigint; readonly xip: string } {
  const [, xmax = '0', xip = ''] = snapshot.split(':')
  return { xmax: BigInt(xmax), xip }
}
