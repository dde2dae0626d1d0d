/**
 * What is known of every user and session, and what no answer may say given that. A change counts as in force from the
 * moment its answer had arrived here, and as begun when it was sent: both err on the gateway's side.
 */
import type { TestSession } from '../support/gateway-pair.js'
import type { Timeline } from './timeline.js'

export interface RolePeriod {
  readonly role: string
  readonly from: number
  /** When its successor had been committed; Infinity while it is not known to have one. */
  to: number
}

export interface SoakUser {
  readonly id: string
  readonly roles: RolePeriod[]
  sessions: SoakSession[]
  /** A change of this user is under way. */
  busy: boolean
}

export interface SoakSession extends TestSession {
  readonly user: SoakUser
  /** When its end was asked for; null: nobody did, it is live. */
  endingAt: number | null
  /** When that had been answered; null while nobody knows. */
  ended: { readonly at: number; readonly by: string; readonly inBand: boolean } | null
}

export interface Answer {
  readonly session: SoakSession
  readonly node: string
  readonly sentAt: number
  readonly receivedAt: number
  readonly status: number
  /** As the upstream was told; null unless it was reached. */
  readonly told: { readonly userId: string; readonly role: string } | null
}

const OUTAGE = new Set([500, 502, 503, 504])

/** What is wrong with an answer; null: nothing. */
export function judge(answer: Answer, timeline: Timeline): string | null {
  const { session, status, told, sentAt, receivedAt } = answer
  if (told !== null) return judgeAccepted(session, told, answer, timeline)
  if (status === 401) return session.endingAt === null ? 'refused with 401, and live all the time' : null
  if (!OUTAGE.has(status)) return `an answer nobody expects: ${status}`
  const excused = !timeline.isHealthy(sentAt, receivedAt) || timeline.isStall(sentAt, receivedAt)
  return excused ? null : `${status} without any fault`
}

function judgeAccepted(
  { user, ended }: SoakSession,
  { userId, role }: NonNullable<Answer['told']>,
  { sentAt, receivedAt }: Answer,
  timeline: Timeline
): string | null {
  if (userId !== user.id) return `accepted as another user, ${userId}`
  if (ended !== null) {
    const end = ended.inBand ? ended.at : timeline.inForceAfter(ended.at)
    if (sentAt > end) return `accepted ${Math.round(sentAt - ended.at)} ms after ${ended.by}`
  }
  const held = user.roles.some(
    period => period.role === role && period.from <= receivedAt && sentAt <= timeline.inForceAfter(period.to)
  )
  return held ? null : `accepted with the role ${role}`
}

/** The whole story, for whoever has to find out. */
export function describe(answer: Answer, what: string, timeline: Timeline): string {
  const at = (time: number | null) => (time === null || !Number.isFinite(time) ? '-' : timeline.clock(time))
  const { session, node, status, sentAt, receivedAt } = answer
  const near = timeline.faults.filter(({ from, to }) => from <= receivedAt && to >= sentAt - 30_000)
  return [
    what,
    `  answer   ${status} of ${node}, sent ${at(sentAt)}, received ${at(receivedAt)}`,
    `  session  ${session.token.slice(0, 8)} of ${session.user.id.slice(0, 8)}, end asked for ${at(session.endingAt)}, ` +
      `known ${at(session.ended?.at ?? null)} ${session.ended?.by ?? ''}`,
    `  roles    ${session.user.roles.map(({ role, from, to }) => `${role} ${at(from)} to ${at(to)}`).join(', ')}`,
    `  faults   ${near.map(({ name, from, to }) => `${name} ${at(from)} to ${at(to)}`).join(', ') || 'none for 30 s'}`
  ].join('\n')
}
