// From samples to a figure: percentiles, ratio, and whether the target is reached. Pure.
import { LEAST_RUNS, TARGETS, type Target } from './targets.ts'

export interface Figure {
  name: string
  unit: string
  p50: number
  p95: number
  /** The p50 of what it is compared with, in the same unit. */
  against: number | null
  /** `p50` divided by `against`. */
  ratio: number | null
  target: number | null
  /** Null where there is no target. */
  ok: boolean | null
  runs: number
  command: string
  /** What `against` is the figure of. */
  versus: string | null
  /** What the figure does not say by itself. */
  note: string | null
  /** Fewer runs than a figure needs: not to be kept. */
  quick: boolean
}

export interface Samples {
  name: string
  unit: string
  ours: readonly number[]
  /** The part of the command that repeats it: `./errand bench <benchmark>`. */
  benchmark: string
  other?: { name: string; samples: readonly number[] }
  note?: string
  /** How often it was measured, where that is not the number of samples. */
  runs?: number
}

export function createFigure(given: Samples): Figure {
  const { name, unit, ours, benchmark, other, note, runs = ours.length } = given
  const p50 = percentile(ours, 50)
  const against = other ? percentile(other.samples, 50) : null
  const ratio = against === null || against === 0 ? null : p50 / against
  const target = TARGETS[name] ?? null
  return {
    name,
    unit,
    p50: rounded(p50),
    p95: rounded(percentile(ours, 95)),
    against: against === null ? null : rounded(against),
    ratio: ratio === null ? null : Math.round(ratio * 1000) / 1000,
    target: target?.value ?? null,
    ok: target ? reaches(target, p50, ratio) : null,
    runs,
    command: `./errand bench ${benchmark}`,
    versus: other?.name ?? null,
    note: note ?? null,
    quick: runs < LEAST_RUNS,
  }
}

/** By linear interpolation between the two nearest ranks (the method of most statistics programs). */
export function percentile(samples: readonly number[], percent: number): number {
  if (samples.length === 0) throw new RangeError('there is no percentile of nothing')
  const sorted = samples.toSorted((a, b) => a - b)
  const rank = (percent / 100) * (sorted.length - 1)
  const below = sorted[Math.floor(rank)] ?? 0
  const above = sorted[Math.ceil(rank)] ?? below
  return below + (above - below) * (rank - Math.floor(rank))
}

function reaches({ value, bound, of }: Target, p50: number, ratio: number | null): boolean {
  const reached = of === 'ratio' ? ratio : p50
  if (reached === null) return false
  return bound === 'most' ? reached <= value : reached >= value
}

function rounded(value: number): number {
  return Math.abs(value) >= 100 ? Math.round(value) : Math.round(value * 100) / 100
}
