/** One shape after the other, each with a line of progress for what it found. */
import type { ShapeResult } from '../results.js'
import type { Shape, ShapeContext } from './shape.js'

export async function runShapes(
  shapes: readonly Shape[],
  context: ShapeContext
): Promise<Readonly<Record<string, ShapeResult>>> {
  const results: Record<string, ShapeResult> = {}
  for (const { name, what, seconds, run } of shapes) {
    console.log(`${name}, about ${Math.ceil(seconds(context.options))} s: ${what}`)
    const { figures, problems } = await run(context)
    results[name] = { what, figures, problems }
    for (const [label, { median, unit }] of Object.entries(figures)) console.log(`  ${label}: ${median} ${unit}`)
    for (const problem of problems) console.log(`  failed: ${problem}`)
  }
  return results
}
