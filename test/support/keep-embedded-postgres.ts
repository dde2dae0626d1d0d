/**
 * Starts the embedded PostgreSQL of the folder given, prints its URL, and holds it until SIGTERM or a word on stdin.
 */
import { startEmbeddedPostgres } from '../../src/data/embedded-postgres.js'

const embedded = await startEmbeddedPostgres({ dataDir: process.argv[2] ?? '', log: () => {} })
console.log(embedded.url)
process.on('SIGTERM', () => void embedded.stop().then(() => process.exit(0)))
process.stdin.on('data', () => process.exit(1))
