/**
 * Every link in the Markdown of this repository leads to a file or heading that is there, and README leads to all of
 * docs.
 */
import { readdir, readFile, stat } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import t from 'tap'
import { ROOT } from '../support/root.js'

const NOT_OURS = new Set(['node_modules', 'dist', 'build', '.git', '.tap', '.data', '.next', 'tap-testdir'])

async function markdownFiles(folder: string): Promise<string[]> {
  const found: string[] = []
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isDirectory() && !NOT_OURS.has(entry.name)) found.push(...(await markdownFiles(path)))
    else if (entry.isFile() && entry.name.endsWith('.md')) found.push(path)
  }
  return found
}

/** The text without code, where brackets are no links. */
function prose(markdown: string): string {
  return markdown.replace(/^(```|~~~)[\s\S]*?^\1/gm, '').replace(/`[^`\n]*`/g, '')
}

function linksOf(markdown: string): string[] {
  const inline = prose(markdown).matchAll(/\]\(\s*<?([^)\s>]+)>?(?:\s+"[^"]*")?\s*\)/g)
  const byReference = prose(markdown).matchAll(/^\[[^\]]+\]:\s*(\S+)/gm)
  const html = prose(markdown).matchAll(/\b(?:href|src)="([^"]+)"/g)
  return [...inline, ...byReference, ...html].map(match => match[1] ?? '')
}

/** Anchors as GitHub makes them: lower case, spaces to hyphens, other punctuation gone, numbered when repeated. */
function anchorsOf(markdown: string): Set<string> {
  const anchors = new Set<string>()
  for (const [, heading = ''] of markdown.replace(/^(```|~~~)[\s\S]*?^\1/gm, '').matchAll(/^#{1,6} (.+)$/gm)) {
    const slug = heading
      .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\p{M}_ -]/gu, '')
      .trim()
      .replaceAll(' ', '-')
    let anchor = slug
    for (let n = 1; anchors.has(anchor); n++) anchor = `${slug}-${n}`
    anchors.add(anchor)
  }
  return anchors
}

function isExternal(link: string): boolean {
  return /^[a-z][a-z+.-]*:/i.test(link)
}

/** What is wrong with this link from this file, or null. */
async function problemOf(file: string, link: string): Promise<string | null> {
  const [path = '', anchor] = link.split('#')
  const target = path === '' ? file : join(dirname(file), decodeURIComponent(path))
  if (path.startsWith('/') || relative(ROOT, target).startsWith('..')) return 'leads out of the repository'
  if ((await stat(target).catch(() => null)) === null) return 'leads to nothing'
  if (anchor === undefined || !target.endsWith('.md')) return null
  return anchorsOf(await readFile(target, 'utf8')).has(anchor) ? null : 'names a heading that is not there'
}

const files = await markdownFiles(ROOT)

t.test('every relative link leads to a file, and every anchor to a heading', async t => {
  const broken: string[] = []
  for (const file of files) {
    for (const link of linksOf(await readFile(file, 'utf8'))) {
      const problem = isExternal(link) ? null : await problemOf(file, link)
      if (problem !== null) broken.push(`${relative(ROOT, file)}: ${link} ${problem}`)
    }
  }

  t.strictSame(broken, [])
})

t.test('every page of docs and examples can be reached from README', async t => {
  const reached = new Set<string>()
  const open = [join(ROOT, 'README.md')]
  for (let file = open.pop(); file !== undefined; file = open.pop()) {
    if (reached.has(file)) continue
    reached.add(file)
    const markdown = await readFile(file, 'utf8').catch(() => '')
    for (const link of linksOf(markdown)) {
      const path = link.split('#')[0] ?? ''
      if (path.endsWith('.md') && !isExternal(link)) open.push(join(dirname(file), path))
    }
  }
  const pages = files.filter(file => /^(docs|examples)/.test(relative(ROOT, file)))

  t.ok(pages.length > 20)
  t.strictSame(
    pages.filter(file => !reached.has(file)),
    []
  )
})

t.test('README fits on a few screens', async t => {
  const lines = (await readFile(join(ROOT, 'README.md'), 'utf8')).trimEnd().split('\n').length

  t.ok(lines <= 200, `${lines} lines`)
})
