/**
 * A thread that works on passwords, one at a time, started by the first. Not libuv's pool, where DNS look-ups and log
 * lines would wait behind it, and where it could not be told to give way to requests.
 */
import { Worker } from 'node:worker_threads'

/** `hash`: what the password is compared with; null: a new hash is wanted. */
export interface PasswordTask {
  readonly password: string
  readonly hash: string | null
}

/** Exactly one of the two. */
export interface PasswordAnswer {
  readonly result?: string | boolean
  readonly problem?: string
}

const PROGRAM = new URL('./password-worker.js', import.meta.url)

export class PasswordThread {
  #worker: Worker | null = null
  #resolve: (result: string | boolean) => void = () => {}
  #reject: (error: Error) => void = () => {}

  /** Rejects for a hash of another format, and when the thread dies. The one before must have ended. */
  run(task: PasswordTask): Promise<string | boolean> {
    return new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
      this.#worker ??= this.#start()
      this.#worker.ref()
      this.#worker.postMessage(task)
    })
  }

  #start(): Worker {
    // Without the process's own flags: what they load has no use for it, and takes longer than a password.
    const worker = new Worker(PROGRAM, { execArgv: [] })
    worker.on('message', ({ result, problem }: PasswordAnswer) => {
      // Idle, it keeps no process alive.
      worker.unref()
      if (result === undefined) this.#reject(new Error(problem))
      else this.#resolve(result)
    })
    worker.on('error', error => this.#reject(error))
    worker.on('exit', () => {
      this.#worker = null
      this.#reject(new Error('the thread for passwords has ended'))
    })
    return worker
  }
}
