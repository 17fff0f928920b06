// A rate as a bucket: `burst` at once, `perSecond` in the long run. Pure but for the clock that is handed in.

export interface Rate {
  perSecond: number
  burst: number
}

/** Takes one token and returns 0, or takes none and returns how many milliseconds until there is one. */
export type TakeToken = () => number

/** `now` counts milliseconds and never goes back (performance.now). */
export function createTokenBucket({ perSecond, burst }: Rate, now: () => number): TakeToken {
  const intervalMs = 1000 / perSecond
  const depthMs = (burst - 1) * intervalMs
  /** When the bucket is full again. */
  let fullMs = now()
  return () => {
    const nowMs = now()
    const waitMs = fullMs - nowMs - depthMs
    if (waitMs > 0) return Math.ceil(waitMs)
    fullMs = Math.max(fullMs, nowMs) + intervalMs
    return 0
  }
}
