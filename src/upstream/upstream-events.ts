/** What an upstream tells of itself while it runs: for logs and metrics. */
/** A target that gets no more calls, or gets them again. */
export interface TargetChange {
  readonly upstream: string
  /** Host and port. */
  readonly target: string
  readonly out: boolean
  readonly reason: string
}

export interface UpstreamEvents {
  readonly onChange: (change: TargetChange) => void
  /** A call of it is made again. */
  readonly onRetry: (upstream: string) => void
}
