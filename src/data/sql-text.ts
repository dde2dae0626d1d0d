/**
 * Names and values as they must stand in SQL text. Only for text that cannot carry parameters: DDL, and queries built
 * from an inspected database.
 */

export function ident(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

export function literal(text: string): string {
  const quoted = `'${text.replaceAll("'", "''")}'`
  return text.includes('\\') ? ` E${quoted.replaceAll('\\', '\\\\')}` : quoted
}

/** The transaction's time as this column writes it. Without a zone that is UTC wall time, as Better Auth writes it. */
export function nowAs({ type }: { readonly type: string }): string {
  return type === 'timestamp with time zone' ? 'now()' : `(now() at time zone 'utc')`
}

/** `TokenHash` as PostgreSQL makes it: the one form of a token that is stored anywhere beside its own row. */
export function tokenDigest(token: string): string {
  return `encode(sha256(convert_to(${token}, 'UTF8')), 'hex')`
}
