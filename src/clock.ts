/** Milliseconds since the epoch. Durations use `performance.now()` and are not injected. */
export type Clock = () => number

export const systemClock: Clock = Date.now
