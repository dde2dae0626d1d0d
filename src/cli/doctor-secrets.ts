/** `doctor`: what the start accepts, and an operator should still change. */
import type { Env } from '../config/env.js'
import type { UpstreamConfig } from '../config/gateway-file.js'
import { type Diagnosis, ok, warn } from './diagnosis.js'

/** A random one of 32 hexadecimal digits has 14 different ones, give or take. */
const FEWEST_DIFFERENT = 10
const SHORTEST_KEY = 24
const MAKE_ONE = 'openssl rand -hex 32'

export function examineSecrets(env: Env, upstreams: readonly UpstreamConfig[]): Diagnosis[] {
  const found: Diagnosis[] = []
  if (env.secrets.length === 0) {
    found.push(warn('secrets', 'BETTER_AUTH_SECRET is generated and lies in .data/: fit for one machine.', MAKE_ONE))
  }
  for (const { version, value } of env.secrets) {
    if (new Set(value).size >= FEWEST_DIFFERENT) continue
    found.push(warn('secrets', `version ${version} of the secret is long, but not random.`, MAKE_ONE))
  }
  for (const { name, internalKey } of upstreams) {
    if (internalKey === null || internalKey.length >= SHORTEST_KEY) continue
    const message = `the internalKey of upstream ${name} has ${internalKey.length} characters, so it can be guessed.`
    found.push(warn('secrets', message, MAKE_ONE))
  }
  return found.length > 0 ? found : [ok('secrets', 'long and random, as far as one can tell')]
}
