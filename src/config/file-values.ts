/** The kinds of values gateway.yaml is made of. A pattern for editors, a refinement for what no pattern can say. */
import { z } from 'zod'
import { durationMs, sizeBytes } from './quantities.js'
import { targetProblem } from './upstream-target.js'

const DURATION_PATTERN = /^\d+(ms|s|m|h|d)$/
const DURATION = 'must be a duration such as 500ms, 2s, 10m or 1h'
const SIZE_PATTERN = /^\d+(b|kb|mb|gb)$/
const SIZE = 'must be a size such as 512kb or 10mb'
const NAME = 'must be a name of letters, digits, dots, dashes and underscores, 64 at most'
const HOST = 'must be a host name in lower case, without a port'

/** Closed: an unknown key is an error. */
export function map<Shape extends z.ZodRawShape>(shape: Shape) {
  return z.strictObject(shape, 'must be a map')
}

export function oneOf<const Words extends readonly [string, ...string[]]>(...words: Words) {
  return z.enum(words, `must be ${words.slice(0, -1).join(', ')} or ${words.at(-1)}`)
}

export function listOf<Item extends z.ZodType>(item: Item) {
  return z.array(item, 'must be a list').min(1, 'must not be empty')
}

export function count(min: number, max: number) {
  const message = `must be a whole number from ${min} to ${max}`
  return z.int(message).min(min, message).max(max, message)
}

export const text = z.string('must be text')

export const yesOrNo = z.boolean('must be true or false')

export const duration = z
  .string(DURATION)
  .regex(DURATION_PATTERN, DURATION)
  .refine(text => !DURATION_PATTERN.test(text) || durationMs(text) !== null, 'must be more than zero and at most 24d')

export const size = z
  .string(SIZE)
  .regex(SIZE_PATTERN, SIZE)
  .refine(text => !SIZE_PATTERN.test(text) || sizeBytes(text) !== null, 'must be more than zero')

export const name = z.string(NAME).regex(/^[A-Za-z0-9][\w.-]{0,63}$/, NAME)

export const hostName = z.string(HOST).regex(/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/, HOST)

export const urlPath = z.string('must be a path').regex(/^\/[\x21-\x7e]*$/, "must be a path that starts with '/'")

/** Fit for a header. */
export const printable = text.regex(/^[\x21-\x7e]+$/, 'must be printable ASCII without spaces')

/** Better Auth keeps roles in a comma list. */
export const roles = listOf(text.regex(/^[^\s,][^,]*$/, 'must not be empty or contain a comma'))

export const target = z.string('must be an address').superRefine((address, context) => {
  const message = targetProblem(address)
  if (message !== null) context.addIssue({ code: 'custom', message })
})
