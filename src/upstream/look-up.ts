/**
 * The name of a target, resolved anew for every connection. What may not stand in gateway.yaml may not come from a name
 * server either: whoever owns the name would own the machine's credentials (link-local metadata services).
 */
import dns from 'node:dns'
import type { LookupFunction } from 'node:net'
import { isForbiddenAddress } from '../config/upstream-target.js'

export const lookUp: LookupFunction = (hostname, options, callback) => {
  dns.lookup(hostname, { ...options, all: true }, (error, found) => {
    if (error !== null) return callback(error, '')
    const allowed = found.filter(({ address }) => !isForbiddenAddress(address))
    const [first] = allowed
    if (first === undefined) return callback(notAllowed(), '')
    if (options.all) callback(null, allowed)
    else callback(null, first.address, first.family)
  })
}

function notAllowed(): NodeJS.ErrnoException {
  return Object.assign(new Error('link-local or metadata address'), { code: 'ADDRESS_NOT_ALLOWED' })
}
