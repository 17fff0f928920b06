// Ends a program in the reverse order of its start, once, with a limit for the whole.
import { withDeadline } from './deadline.ts'

export interface Shutdown {
  /** Adds a step; steps run last-added first. */
  add(name: string, close: () => Promise<void> | void): void
  /** Runs all steps; a failing step is reported and does not stop the others. Resolves once, also when called twice. */
  run(): Promise<void>
}

export function createShutdown(
  limitMs: number,
  report: (name: string, error: unknown) => void,
): Shutdown {
  const steps: { name: string; close: () => Promise<void> | void }[] = []
  let running: Promise<void> | undefined
  const runAll = async () => {
    for (const step of steps.reverse()) {
      try {
        await withDeadline(step.name, limitMs, async () => step.close())
      } catch (error) {
        report(step.name, error)
      }
    }
  }
  return {
    add: (name, close) => {
      steps.push({ name, close })
    },
    run: () => {
      running ??= runAll()
      return running
    },
  }
}

/** Calls `stop` at SIGTERM and SIGINT, then exits with 0. */
export function stopOnSignals(stop: () => Promise<void>): void {
  let stopping = false
  const onSignal = () => {
    if (stopping) return
    stopping = true
    void stop().finally(() => process.exit(0))
  }
  process.on('SIGTERM', onSignal)
  process.on('SIGINT', onSignal)
}
