/** What a schema finds wrong with a document, in sentences, each with the path it is about. */
import type { ZodType, core } from 'zod'
import type { DocumentPath } from './yaml-document.js'

export interface Finding {
  readonly path: DocumentPath
  readonly message: string
}

export function findingsOf(schema: ZodType, value: unknown): Finding[] {
  const { error } = schema.safeParse(value)
  return error === undefined ? [] : error.issues.flatMap(issue => sentencesOf(issue, [], value))
}

function sentencesOf(issue: core.$ZodIssue, parent: DocumentPath, value: unknown): Finding[] {
  const path = [...parent, ...(issue.path as DocumentPath)]
  if (valueAt(value, path) === undefined) return [{ path, message: 'is missing' }]
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map(key => ({ path: [...path, key], message: 'is not a key that means anything here' }))
  }
  if (issue.code === 'invalid_key') return issue.issues.map(({ message }) => ({ path, message }))
  if (issue.code === 'invalid_union') {
    // The branch that looked inside was the one meant; without one, the union's own message says what fits.
    const meant = issue.errors.find(branch => branch.some(({ path: inside }) => inside.length > 0))
    if (meant !== undefined) return meant.flatMap(inside => sentencesOf(inside, path, value))
  }
  return [{ path, message: issue.message }]
}

function valueAt(value: unknown, path: DocumentPath): unknown {
  return path.reduce<unknown>((at, step) => (at as Record<string | number, unknown> | null | undefined)?.[step], value)
}
