// The preparation of a sandbox in the timeline: its phases, until it is ready, has failed, or is gone. Pure.
import type { EventOf } from './event.ts'
import { type PhaseName, withPhase } from './session.ts'
import type { At, TimelineItem } from './timeline.ts'
import { update } from './timeline-update.ts'

export interface PhaseLine {
  name: PhaseName
  /** Stopped: it was going on when its sandbox was stopped or lost. */
  state: 'running' | 'completed' | 'failed' | 'stopped'
  startedAt: string
  durationMs: number | null
  /** Done by an earlier preparation: nothing had to be done again. */
  kept: boolean
  lines: string[]
  reason: string | null
  message: string | null
}

export interface Preparation {
  kind: 'preparation'
  generation: number
  resume: boolean
  phases: PhaseLine[]
  ready: boolean
}

type PreparationBody = EventOf<
  | ('phase.started' | 'phase.logged' | 'phase.completed' | 'phase.failed' | 'phase.withdrawn')
  | ('sandbox.ready' | 'sandbox.stopped' | 'sandbox.lost')
>

/** What happened to the preparation of this generation. */
export function applyPreparation(
  items: readonly TimelineItem[],
  body: PreparationBody,
  { at }: At,
): readonly TimelineItem[] {
  return update(items, (item) =>
    item.kind === 'preparation' && item.generation === body.generation
      ? { ...item, ...applyToPreparation(item, body, at) }
      : undefined,
  )
}

function applyToPreparation(item: Preparation, body: PreparationBody, at: string): Preparation {
  if (body.type === 'sandbox.ready') return { ...item, ready: true }
  if (body.type === 'sandbox.stopped' || body.type === 'sandbox.lost')
    return { ...item, phases: item.phases.map((phase) => stopped(phase, at)) }
  if (body.type === 'phase.started') {
    const started: PhaseLine = {
      name: body.phase,
      state: 'running',
      startedAt: at,
      durationMs: null,
      kept: false,
      lines: [],
      reason: null,
      message: null,
    }
    return { ...item, phases: withPhase(item.phases, started) }
  }
  if (body.type === 'phase.withdrawn')
    return { ...item, phases: item.phases.filter(({ name }) => name !== body.phase) }
  const phases = item.phases.map((phase): PhaseLine => {
    if (phase.name !== body.phase) return phase
    if (body.type === 'phase.logged') return { ...phase, lines: [...phase.lines, ...body.lines] }
    if (body.type === 'phase.completed')
      return {
        ...phase,
        state: 'completed',
        durationMs: body.durationMs,
        kept: body.kept === true,
      }
    return {
      ...phase,
      state: 'failed',
      durationMs: body.durationMs,
      reason: body.reason,
      message: body.message,
    }
  })
  return { ...item, phases }
}

function stopped(phase: PhaseLine, at: string): PhaseLine {
  if (phase.state !== 'running') return phase
  return { ...phase, state: 'stopped', durationMs: Date.parse(at) - Date.parse(phase.startedAt) }
}
