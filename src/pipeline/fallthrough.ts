/** The route behind a pipeline whose last stage answers inside its hook: nothing ever gets there. */
import { METHODS } from 'node:http'
import type { FastifyInstance } from 'fastify'
import { GatewayError } from '../errors.js'

/** TRACE would show a page its own cookies (ASVS 13.4.4); CONNECT asks for another kind of proxy. */
export const PROXIED = METHODS.filter(method => method !== 'TRACE' && method !== 'CONNECT')

export function takeAll(
  scope: FastifyInstance,
  url: string,
  methods: readonly string[] = PROXIED,
  config: { readonly cors?: false } = {}
): void {
  for (const method of methods) if (!scope.supportedMethods.includes(method)) scope.addHttpMethod(method)
  scope.route({
    method: [...methods],
    url,
    config,
    handler: () => {
      throw new GatewayError('INTERNAL_ERROR', { reason: 'fell_through' })
    }
  })
}
