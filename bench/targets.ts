// What each figure has to reach. Only these constants decide `ok`; docs/benchmarks.md keeps what was reached.

export interface Target {
  value: number
  /** `most`: ratio or value may be at most this; `least`: at least. */
  bound: 'most' | 'least'
  /** What is held against it: ours divided by the other's, or our own p50. */
  of: 'ratio' | 'value'
}

const ratioAtMost = (value: number): Target => ({ value, bound: 'most', of: 'ratio' })
const ratioAtLeast = (value: number): Target => ({ value, bound: 'least', of: 'ratio' })

/** Full benchmarks take at least this many runs; fewer are marked as a quick try. */
export const LEAST_RUNS = 20

/** By the name of the figure. A figure that is not here is watched and has no target. */
export const TARGETS: Readonly<Record<string, Target>> = {
  start: ratioAtMost(1.5),
  'start-sandbox': ratioAtMost(1.5),
  'start-warm': ratioAtMost(1),
  driver: ratioAtMost(0.5),
  'driver-20': ratioAtMost(0.5),
  clone: ratioAtMost(1.2),
  checkout: ratioAtMost(1.3),
  'checkout-request': ratioAtMost(1.3),
  download: ratioAtLeast(0.8),
  'download-gigabit': ratioAtLeast(0.8),
  'check-tools-first': { value: 2_000, bound: 'most', of: 'value' },
  'check-tools': { value: 2_000, bound: 'most', of: 'value' },
  'memory-stopped': { value: 0, bound: 'most', of: 'value' },
}
