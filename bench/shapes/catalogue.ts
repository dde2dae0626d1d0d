/** Every shape, in the order they are run. */
import { bodies } from './bodies.js'
import { coldStart } from './cold-start.js'
import { eventStreams } from './event-streams.js'
import { loginFlood } from './login-flood.js'
import { revokeUnderLoad } from './revoke-under-load.js'
import type { Shape } from './shape.js'
import { tableSize } from './table-size.js'

export const shapes: readonly Shape[] = [coldStart, revokeUnderLoad, loginFlood, tableSize, bodies, eventStreams]
