// The preparation inside a sandbox: the phases checkout and agent, each reported with its log and duration.
// Done anew for every generation that the gateway names; what exists already completes at once.

import { DeadlineError, withDeadline } from '../lib/deadline.ts'
import { toAppError } from '../protocol/errors.ts'
import type { RunnerReport } from '../protocol/runner-frames.ts'
import { PHASE_LIMITS_MS, type PhaseName } from '../protocol/session.ts'

/** `kept`: an earlier preparation has done it, and nothing was left to do. */
export type PhaseWork = (
  logged: (lines: string[]) => void,
  signal: AbortSignal,
) => Promise<'kept' | 'done'>

export interface WorkspaceDeps {
  report: (report: RunnerReport) => void
  phases: { name: Extract<PhaseName, 'checkout' | 'agent'>; work: PhaseWork }[]
  limitsMs?: Partial<Record<PhaseName, number>>
}

/** True when every phase completed and the runner said that it is ready; a failed phase has been reported. */
export async function prepareWorkspace(
  deps: WorkspaceDeps,
  generation: number,
  signal: AbortSignal,
): Promise<boolean> {
  for (const phase of deps.phases) {
    if (!(await runPhase(deps, phase, { generation, signal }))) return false
  }
  deps.report({ type: 'runner.ready', generation })
  return true
}

async function runPhase(
  { report, limitsMs }: WorkspaceDeps,
  { name: phase, work }: WorkspaceDeps['phases'][number],
  { generation, signal }: { generation: number; signal: AbortSignal },
): Promise<boolean> {
  const startedAt = performance.now()
  const durationMs = () => Math.round(performance.now() - startedAt)
  report({ type: 'phase.started', phase, generation })
  const logged = (lines: string[]) => {
    if (lines.length > 0) report({ type: 'phase.logged', phase, generation, lines })
  }
  try {
    const limitMs = limitsMs?.[phase] ?? PHASE_LIMITS_MS[phase]
    const what = `the phase ${phase}`
    const how = await withDeadline(what, limitMs, (limit) => work(logged, limit), signal)
    const kept = how === 'kept' ? { kept: true } : {}
    report({ type: 'phase.completed', phase, generation, durationMs: durationMs(), ...kept })
    return true
  } catch (error) {
    if (signal.aborted) return false
    const { reason, message } = toAppError(error, `${phase}_failed`)
    const why = error instanceof DeadlineError ? `${phase}_timed_out` : reason
    report({
      type: 'phase.failed',
      phase,
      generation,
      durationMs: durationMs(),
      reason: why,
      message,
    })
    return false
  }
}

export interface Preparation {
  /** To be called with the generation that the gateway names. */
  want(generation: number): void
  isReady(): boolean
}

/** Prepares once for each generation, one after the other. `onReady` is called after each that went well. */
export function createPreparation(
  prepare: (generation: number) => Promise<boolean>,
  onReady: () => void,
): Preparation {
  let wanted: number | undefined
  let isWorking = false
  let isReady = false
  const work = async () => {
    isWorking = true
    for (let done: number | undefined; done !== wanted; ) {
      done = wanted
      if (done === undefined || !(await prepare(done))) continue
      isReady = true
      onReady()
    }
    isWorking = false
  }
  return {
    want(generation) {
      if (generation === wanted) return
      wanted = generation
      if (!isWorking) void work()
    },
    isReady: () => isReady,
  }
}
