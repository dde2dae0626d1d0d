/** Field lines as they are sent, taken apart: names and values, flat. */
export function flatFields(lines: string): string[] {
  return lines
    .split('\r\n')
    .slice(0, -1)
    .flatMap(line => {
      const colon = line.indexOf(': ')
      return [line.slice(0, colon), line.slice(colon + 2)]
    })
}

/** The other way round. */
export function fieldsOf(flat: readonly string[]): string {
  let lines = ''
  for (let i = 0; i < flat.length; i += 2) lines += `${flat[i]}: ${flat[i + 1]}\r\n`
  return lines
}
