// Keeps what was discovered: asked for by every session, learnt once and again when it has grown old.
import type { RegistriesFound } from './registries.ts'

export interface RegistryCacheOptions {
  discover: () => Promise<RegistriesFound>
  maxAgeMs: number
  now: () => number
}

/**
 * Concurrent callers share one discovery. What is old is given out while it is learnt anew; a failure, or an answer with
 * warnings, counts as old at once, so that a registry that was down is found when it is back.
 */
export function createRegistryCache({ discover, maxAgeMs, now }: RegistryCacheOptions) {
  let last: { found: RegistriesFound; atMs: number } | undefined
  let running: Promise<RegistriesFound> | undefined
  const refresh = () => {
    running ??= discover()
      .then((found) => {
        last = { found, atMs: now() }
        return found
      })
      .finally(() => {
        running = undefined
      })
    return running
  }
  return {
    async get(): Promise<RegistriesFound> {
      if (!last) return refresh()
      const ageMs = now() - last.atMs
      const isOld = ageMs > (last.found.warnings.length > 0 ? Math.min(60_000, maxAgeMs) : maxAgeMs)
      // The old answer stands when the new one cannot be had.
      if (isOld) refresh().catch(() => undefined)
      return last.found
    },
  }
}
