import { cookies } from 'next/headers'

/** The gateway as the Next.js server reaches it; inside a private network this differs from the public address. */
const gatewayUrl = process.env.GATEWAY_URL ?? process.env.NEXT_PUBLIC_GATEWAY_URL ?? 'http://localhost:8080'

/**
 * A read on behalf of the visitor: the visitor's cookies go along, the gateway decides.
 * Null when nobody is signed in. Anything else that is not a 2xx is an error, and never "signed out".
 */
export async function readFromGateway<T>(path: string): Promise<T | null> {
  const response = await fetch(`${gatewayUrl}${path}`, {
    headers: { cookie: (await cookies()).toString() },
    cache: 'no-store'
  })
  if (response.status === 401) return null
  if (!response.ok) throw new Error(`${path} answered ${response.status}`)
  return (await response.json()) as T
}
