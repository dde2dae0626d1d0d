const HTTP_1 = Buffer.from('HTTP/1.')
/** Where the status stands in a status line, and what it is. */
const STATUS_AT = 9
const CONTINUE = '100'

/** The chunk after any complete 100 (Continue) answers it begins with. */
export function withoutContinue(chunk: Buffer): Buffer {
  let rest = chunk
  while (isContinue(rest)) {
    const end = rest.indexOf('\r\n\r\n')
    if (end < 0) return rest
    rest = rest.subarray(end + 4)
  }
  return rest
}

function isContinue(bytes: Buffer): boolean {
  return (
    // The usual answer begins with 2 to 5, so this byte alone decides.
    bytes[STATUS_AT] === 0x31 &&
    bytes.subarray(0, HTTP_1.length).equals(HTTP_1) &&
    bytes.toString('latin1', STATUS_AT, STATUS_AT + 3) === CONTINUE
  )
}
