// What stands in for a driver that this machine does not let run: everything else of Errand can be used, and a session
// fails in its phase `sandbox` with the sentence that says why and what mends it.
import type { AppError } from '../protocol/errors.ts'
import type { SandboxDriver } from './driver.ts'

export function createRefusingDriver(kind: string, refusal: AppError): SandboxDriver {
  const refuse = () => Promise.reject(refusal)
  return {
    kind,
    isolation: async () => ({
      level: 'process',
      line: `none: ${refusal.reason}`,
      isLimited: false,
      holds: [],
      doesNotHold: [refusal.message],
    }),
    create: refuse,
    start: refuse,
    stop: async () => undefined,
    list: async () => [],
    usedMs: async () => 0,
    remove: async () => undefined,
    identify: refuse,
    keepLayer: refuse,
    listLayers: async () => [],
    removeLayer: async () => undefined,
  }
}
