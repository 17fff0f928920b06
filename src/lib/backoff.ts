// How long to wait before trying again: doubles from `firstMs` to `mostMs`, spread by a caller-given random number.

export interface Backoff {
  firstMs: number
  mostMs: number
}

/** `attempt` counts from 0; `random` is in [0, 1). The result lies between half of the full step and the full step. */
export function backoffMs({ firstMs, mostMs }: Backoff, attempt: number, random: number): number {
  const full = Math.min(mostMs, firstMs * 2 ** Math.min(attempt, 30))
  return Math.round(full / 2 + (full / 2) * random)
}
