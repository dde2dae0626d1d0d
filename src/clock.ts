/** Milliseconds since the epoch. Durations use `performance.now()` and are not injected. */
export type Clock = () => number

export const systemClock: Clock = Date.now

/** As `work`; rejects with what `late` makes when that takes longer than `ms`. What goes on behind it is not ended. */
export function withDeadline<T>(ms: number, work: PromiseLike<T>, late: () => Error): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(late()), ms)
    work.then(
      answer => {
        clearTimeout(timer)
        resolve(answer)
      },
      (error: unknown) => {
        clearTimeout(timer)
        reject(error)
      }
    )
  })
}
