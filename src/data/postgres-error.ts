/** What an error of the database says of itself. */

/** SQLSTATE or the driver's own word (ECONNREFUSED, CONNECTION_CLOSED); drizzle wraps it in `cause`. */
export function databaseCode(error: unknown): string | null {
  for (let current = error; current instanceof Error; current = current.cause) {
    const { code } = current as { code?: unknown }
    if (typeof code === 'string') return code
  }
  return null
}
