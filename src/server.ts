#!/usr/bin/env node
/** The process: `node dist/src/server.js` is `session-gateway start`. */
import { run } from './cli/start.js'

const exitCode = await run(process.argv.slice(2))
// Zero means that it serves; the signals end it. Anything else ends it now.
if (exitCode !== 0) process.exit(exitCode)
