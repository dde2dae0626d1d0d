/**
 * The PostgreSQL of `npm start` on a bare machine: its data in a folder of the project, reachable from this machine
 * alone, started with the gateway and stopped after it. Its password is made once and kept beside the data.
 *
 * What an earlier run left behind is dealt with: a server whose gateway was killed is stopped and started anew, one
 * that another living gateway runs is shared and left running, one that dies is brought back on the same port.
 */
import { randomBytes } from 'node:crypto'
import { access, mkdir, readFile, realpath, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ConfigError } from '../errors.js'
import { createDatabase, databaseUrl } from './embedded-database.js'
import { findPostgresBinaries, type PostgresBinaries } from './postgres-binaries.js'
import { createCluster, freePort, launch, readPostmaster, stopPostmaster, takeOver } from './postgres-cluster.js'
import { ended, parentOf, sendSignal } from './unix-process.js'

export interface EmbeddedOptions {
  /** Made when it is missing; the folder above holds the password and the log. */
  readonly dataDir: string
  /** What a person at a terminal wants to know. */
  readonly log: (line: string) => void
}

export interface EmbeddedPostgres {
  /** As the owner of the database, not a superuser. */
  readonly url: string
  /** Ends the server if it is ours. Bounded: never longer than ten seconds. */
  stop: () => Promise<void>
}

/** Written once, with the data. */
interface Kept {
  readonly password: string
  /** The same from run to run while it is free, for whoever looks at the data with psql. */
  readonly port: number
}

const ATTEMPTS = 5
const RETRY_MS = 500
const FAST_STOP_MS = 5_000

/** Throws ConfigError where no server can run here. */
export async function startEmbeddedPostgres({ dataDir, log }: EmbeddedOptions): Promise<EmbeddedPostgres> {
  const binaries = await findPostgresBinaries()
  for (let attempt = 1; ; attempt++) {
    try {
      await mkdir(dirname(dataDir), { recursive: true, mode: 0o700 })
      const home = await realpath(dirname(dataDir))
      return await new Cluster(join(home, basename(dataDir)), binaries, log).open()
    } catch (error) {
      if (['EACCES', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '')) throw notOurs(dataDir)
      // Another process may have taken the port or the folder, or the last server's memory is not released yet.
      if (error instanceof ConfigError || attempt === ATTEMPTS) throw error
      await sleep(RETRY_MS)
    }
  }
}

class Cluster {
  readonly #dataDir: string
  readonly #binaries: PostgresBinaries
  readonly #log: (line: string) => void
  #pid = 0
  #stopping = false

  constructor(dataDir: string, binaries: PostgresBinaries, log: (line: string) => void) {
    this.#dataDir = dataDir
    this.#binaries = binaries
    this.#log = log
  }

  async open(): Promise<EmbeddedPostgres> {
    if ((await takeOver(this.#binaries, this.#dataDir)) === 'not ours') throw notOurs(this.#dataDir)
    const kept = await this.#keep()
    const sharedPort = await this.#leftBehind()
    if (sharedPort !== null) {
      await createDatabase(kept.password, sharedPort)
      return { url: databaseUrl(kept.password, sharedPort), stop: async () => {} }
    }
    if (!(await this.#hasData())) await createCluster(this.#binaries, this.#dataDir, kept.password)
    const port = await freePort(kept.port)
    await this.#launch(port)
    process.once('exit', this.#onExit)
    try {
      await createDatabase(kept.password, port)
    } catch (error) {
      await this.#stop()
      throw error
    }
    return { url: databaseUrl(kept.password, port), stop: () => this.#stop() }
  }

  /** The port of a server that runs already, when another living gateway runs it. Any other server is stopped. */
  async #leftBehind(): Promise<number | null> {
    const running = await readPostmaster(this.#dataDir)
    if (running === null) return null
    const { pid, port, status, owner } = running
    if (status === 'stopping') {
      await ended(pid, FAST_STOP_MS)
      return null
    }
    if (owner !== process.pid && (await parentOf(pid)) === owner) {
      this.#log(`PostgreSQL is run by process ${owner} already: sharing it`)
      return port
    }
    this.#log('PostgreSQL of an earlier run is still there: restarting it')
    await stopPostmaster(pid, { fastMs: FAST_STOP_MS })
    return null
  }

  async #launch(port: number): Promise<void> {
    const { dataDir, logFile } = { dataDir: this.#dataDir, logFile: `${this.#dataDir}.log` }
    this.#pid = await launch(this.#binaries, { dataDir, logFile, port, onExit: () => void this.#revive(port) })
  }

  async #revive(port: number): Promise<void> {
    while (!this.#stopping) {
      this.#log(`PostgreSQL ended unexpectedly (see ${this.#dataDir}.log): starting it again`)
      await sleep(RETRY_MS)
      try {
        if (!this.#stopping) await this.#launch(port)
        return
      } catch {
        // Said at the top of the loop.
      }
    }
  }

  async #stop(): Promise<void> {
    this.#stopping = true
    process.off('exit', this.#onExit)
    await stopPostmaster(this.#pid, { fastMs: FAST_STOP_MS })
  }

  /** A process that ends without closing takes its server along. */
  readonly #onExit = (): void => {
    sendSignal(this.#pid, 'SIGINT')
  }

  async #keep(): Promise<Kept> {
    const file = `${this.#dataDir}.json`
    if ((await this.#hasData()) && !(await exists(file))) {
      throw problem(this.#dataDir, `its password is lost, ${file} is gone. Delete ${this.#dataDir} to begin anew.`)
    }
    const fresh: Kept = { password: randomBytes(24).toString('base64url'), port: await freePort() }
    // 'wx': of two processes that start at once, one makes the password and both use it.
    await writeFile(file, `${JSON.stringify(fresh)}\n`, { flag: 'wx', mode: 0o600 }).catch(ignoreExisting)
    return JSON.parse(await readFile(file, 'utf8')) as Kept
  }

  #hasData(): Promise<boolean> {
    return exists(join(this.#dataDir, 'PG_VERSION'))
  }
}

function notOurs(dataDir: string): ConfigError {
  return problem(
    dataDir,
    'belongs to another user. Was the gateway started as root before? Then delete it, or chown it.'
  )
}

function problem(place: string, message: string): ConfigError {
  return new ConfigError([{ place, message }])
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false
  )
}

function ignoreExisting(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EEXIST') throw error
}
