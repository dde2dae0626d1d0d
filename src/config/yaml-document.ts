/** YAML with places: the plain value of a document, what is wrong with its syntax, and where each part of it stands. */
import {
  type Document,
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
  type YAMLError
} from 'yaml'
import type { ConfigProblem } from '../errors.js'

export type DocumentPath = readonly (string | number)[]

export interface YamlDocument {
  readonly value: unknown
  /** False: its syntax leaves open what it says, and `value` is null. */
  readonly isReadable: boolean
  readonly problems: readonly ConfigProblem[]
  /** `gateway.yaml:12:5 routes[1].access`; what is missing stands where it is missed. */
  readonly placeOf: (path: DocumentPath) => string
}

/** An alias may stand for another, and so on: few of them make a document of any size. */
const MAX_ALIASES = 100
const QUOTES = ' (inside brackets a ${VARIABLE} needs quotes)'

export function readYaml(text: string, file: string): YamlDocument {
  const lineCounter = new LineCounter()
  const document = parseDocument(text, { lineCounter, uniqueKeys: true, prettyErrors: false })
  const at = (offset: number) => {
    const { line, col } = lineCounter.linePos(offset)
    return `${file}:${Math.max(line, 1)}:${Math.max(col, 1)}`
  }
  const problemOf = ({ message, pos: [start] }: YAMLError) => ({
    place: at(start),
    message: message.replaceAll(/\s+/g, ' ') + (text.startsWith('${', start - 1) ? QUOTES : '')
  })
  const placeOf = (path: DocumentPath) => `${at(offsetOf(document, path))} ${wordsOf(path)}`.trimEnd()
  const broken = document.errors.find(({ code }) => code !== 'DUPLICATE_KEY')
  // Of one slip the parser makes an error of every later line.
  if (broken !== undefined) return { value: null, isReadable: false, problems: [problemOf(broken)], placeOf }
  // A warning is a tag nobody here knows.
  const problems = [...document.errors, ...document.warnings].map(problemOf)
  try {
    return { value: document.toJS({ maxAliasCount: MAX_ALIASES }), isReadable: true, problems, placeOf }
  } catch {
    problems.push({ place: at(0), message: 'has aliases of nothing, or too many of them' })
    return { value: null, isReadable: false, problems, placeOf }
  }
}

function offsetOf(document: Document, path: DocumentPath): number {
  let node: unknown = document.contents
  let offset = startOf(node, 0)
  for (const step of path) {
    if (isAlias(node)) node = node.resolve(document)
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === String(step))
      if (pair === undefined) return offset
      offset = startOf(pair.key, offset)
      node = pair.value
    } else if (isSeq(node)) {
      node = node.items[Number(step)]
      offset = startOf(node, offset)
    } else {
      return offset
    }
  }
  return offset
}

function startOf(node: unknown, otherwise: number): number {
  return isNode(node) ? ((node as Node).range?.[0] ?? otherwise) : otherwise
}

function wordsOf(path: DocumentPath): string {
  return path.reduce<string>(
    (words, step) => (typeof step === 'number' ? `${words}[${step}]` : `${words}${words && '.'}${step}`),
    ''
  )
}
