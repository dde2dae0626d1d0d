/**
 * How a forgiving server could read a path: Windows and many frameworks take `/Admin`, `/admin/`, `/admin%20`
 * and `/admin.json` for `/admin`. The table asks with the folded path as well, so that no such spelling
 * slips past a stricter route beside the one it was written for.
 */

/** A segment ends for somebody at its first dot (unless it starts with it), or at an escaped `?` or `#`. */
const SUFFIX = /(?<=.)[.?#].*$/s
/** A zero-width space, a soft hyphen: nobody sees them, and some servers compare without them. */
const UNSEEN = /\p{Default_Ignorable_Code_Point}/gu

/** Takes a canonical path. Never forwarded and never shown: only compared with other folded paths. */
export function foldPath(path: string): string {
  // NFKC, because some servers compare what merely looks alike; twice the case, because ſ is an s in upper case only.
  const seen = decodeURIComponent(path).replace(UNSEEN, '')
  const text = seen.normalize('NFKC').toUpperCase().toLowerCase()
  let folded = ''
  for (const segment of text.split('/')) {
    const name = segment.replace(SUFFIX, '').trimEnd()
    if (name !== '') folded += `/${name}`
  }
  return folded
}

const ODD = /[A-Z.%]|\/$/

/** Whether folding could change the path at all. */
export function isOdd(path: string): boolean {
  return ODD.test(path)
}
