/**
 * Snapshots of PostgreSQL, as text: 'xmin:xmax:xip,xip'. One sees the transactions below xmax that are not among those
 * that were running (xip). Those of one server follow each other: what one sees, every later one sees.
 */

/** Whether PostgreSQL takes the text for a snapshot: 0 < xmin <= xip in order < xmax. */
export function isSnapshot(text: string): boolean {
  const [, xmin, xmax, xip] = /^([1-9]\d{0,19}):([1-9]\d{0,19}):((?:\d{1,20}(?:,(?!$)|$))*)$/.exec(text) ?? []
  if (xmin === undefined || xmax === undefined || xip === undefined) return false
  const running = xip === '' ? [] : xip.split(',').map(BigInt)
  const inOrder = [BigInt(xmin), ...running, BigInt(xmax)]
  return inOrder.every((id, i) => i === 0 || id >= (inOrder[i - 1] as bigint)) && running.at(-1) !== BigInt(xmax)
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
