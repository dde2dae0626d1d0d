// @ts-check
/**
 * The other end of password-thread.ts: scrypt in Better Auth's own format (`salt:key` in hexadecimal, the salt's digits
 * being the salt), so that another Better Auth server on the same database can read it. Plain JavaScript, the one file
 * of it: a thread's program is not translated on the way in, as all else is under `npm run dev` and in tests.
 */
import { randomBytes, scryptSync, timingSafeEqual } from 'node:crypto'
import { constants, setPriority } from 'node:os'
import { parentPort } from 'node:worker_threads'

const [N, R, P, KEY_BYTES] = [16_384, 16, 1, 64]
const OPTIONS = { N, r: R, p: P, maxmem: 2 * 128 * N * R }

// On Linux, and only there, 0 is this thread. Whoever signs in can wait a little; a busy core goes on with requests.
if (process.platform === 'linux') setPriority(0, constants.priority.PRIORITY_BELOW_NORMAL)

parentPort?.on('message', task => parentPort?.postMessage(answerTo(task)))

/**
 * @param {import('./password-thread.js').PasswordTask} task
 * @returns {import('./password-thread.js').PasswordAnswer}
 */
function answerTo({ password, hash }) {
  try {
    return { result: hash === null ? hashOf(password) : isRight(password, hash) }
  } catch (error) {
    return { problem: String(error) }
  }
}

/** @param {string} password */
function hashOf(password) {
  const salt = randomBytes(16).toString('hex')
  return `${salt}:${keyOf(password, salt).toString('hex')}`
}

/** @param {string} password @param {string} hash */
function isRight(password, hash) {
  const [salt = '', key = ''] = hash.split(':')
  const expected = Buffer.from(key, 'hex')
  if (salt === '' || expected.length !== KEY_BYTES) throw new Error('not a password hash')
  return timingSafeEqual(keyOf(password, salt), expected)
}

/** @param {string} password @param {string} salt */
function keyOf(password, salt) {
  return scryptSync(password.normalize('NFKC'), salt, KEY_BYTES, OPTIONS)
}
