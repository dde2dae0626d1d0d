/**
 * A target that leads back to the gateway would have a request go round until something breaks. So each carries our
 * name on, in CDN-Loop (RFC 8586), and is not forwarded a third time; once round is how a front end calls the APIs.
 * Not in Via (RFC 9110 section 7.6.3): nginx and IIS stop compressing when they see one (RFC 8586 section 1).
 */
export const LOOP_HEADER = 'cdn-loop'

const MOST_VISITS = 2

/** `ourName`: lower-case authority. */
export function goesInCircles(header: string | undefined, ourName: string): boolean {
  if (header === undefined) return false
  const visits = header.split(',').filter(visited => visited.split(';', 1)[0]?.trim().toLowerCase() === ourName)
  return visits.length >= MOST_VISITS
}
