/** What a poll reads of the outbox: by the index only, whatever lies in the table, and nothing of what still runs. */
import t from 'tap'
import { outboxSql, POLL_LIMIT } from '../../../schema/outbox-sql.js'
import { migrate } from '../../../src/data/migrate.js'
import { startShapes } from '../../support/shapes.js'

t.test('a poll', async t => {
  const { sql } = await (await startShapes(t)).open(t, 'ours')
  const shape = await migrate(sql, { schema: null, mode: 'hosted' }, () => {})
  const { poll } = outboxSql(shape)
  const add = (rows: number, client = sql) =>
    client`insert into auth.gateway_outbox (kind, key) select 's', i::text from generate_series(1, ${rows}) i`
  const cursor = async () => (await sql.unsafe(poll, [null as unknown as string, '']))[0]?.['next_cursor'] as string
  const reads = async (from: string) => (await sql.unsafe(poll, [from, ''])).filter(({ xid }) => xid !== null).length

  async function explain(from: string, mode: string, options: string): Promise<readonly unknown[]> {
    return sql.begin(async tx => {
      await tx.unsafe(`set local plan_cache_mode = ${mode}`)
      await tx.unsafe(`prepare q(text, text) as ${poll}`)
      const rows = await tx.unsafe(`explain (${options}) execute q('${from}', '')`)
      await tx.unsafe('deallocate q')
      return rows.map(row => row['QUERY PLAN'])
    })
  }

  /** Pages it touches. */
  async function pages(from: string): Promise<number> {
    const [[{ Plan: plan }]] = (await explain(from, 'auto', 'analyze, buffers, format json')) as [
      [{ Plan: Record<string, number> }]
    ]
    return Number(plan['Shared Hit Blocks']) + Number(plan['Shared Read Blocks'])
  }

  // All of one transaction, analysed: the planner takes any list of ids for all of them.
  await add(100_000)
  await sql`analyze auth.gateway_outbox`

  t.test('uses the index for both of its arms, also when it is planned for any cursor', async t => {
    const from = await cursor()
    for (const mode of ['force_generic_plan', 'force_custom_plan']) {
      const lines = (await explain(from, mode, 'costs off'))
        .filter(line => String(line).includes('gateway_outbox'))
        .join('\n')
      t.notMatch(lines, /Seq Scan/, mode)
      t.equal(lines.match(/Scan (using|on) gateway_outbox_xid_idx/g)?.length, 2, lines)
    }
  })

  t.test('reads each row once, when its transaction has ended, and none of those that run', async t => {
    const idle = await pages(await cursor())
    const open = await sql.reserve()
    await open`begin`
    await add(20_000, open)
    const first = await cursor()
    await add(3)
    const second = await cursor()
    t.equal(await reads(first), 3)
    t.equal(await reads(second), 0)
    const whileOpen = await pages(second)
    await open`commit`
    open.release()

    t.equal(await reads(second), POLL_LIMIT + 1, 'below xmax of the cursor')
    const ended = await pages(second)
    t.ok(whileOpen < idle + 10 && ended > idle + 50, `${idle}, ${whileOpen}, ${ended} pages`)
    t.equal(await reads(await cursor()), 0)
  })
})
