// The phases of the preparation that is going on, in the head of a session: their signs, and of the one that runs its name and
// since when. The timeline has their logs, and what mends a failure.
import { PHASES, type SessionState } from '../../../src/protocol/session.ts'
import { PHASE_NAMES, PHASE_SIGNS } from '../timeline/phase-look.ts'
import { Glyph } from '../ui/glyph.tsx'
import { Since } from '../ui/time.tsx'

export function PhaseStrip({ sandbox }: Pick<SessionState, 'sandbox'>) {
  if (sandbox.state !== 'preparing') return null
  const begun = new Map(sandbox.phases.map((phase) => [phase.name, phase]))
  return (
    <ol aria-label="Preparation" className="flex flex-wrap items-center gap-x-1.5 pt-1 text-xs">
      {PHASES.map((name) => {
        const phase = begun.get(name)
        const { glyph, color, word } = phase
          ? PHASE_SIGNS[phase.state]
          : { glyph: 'ring' as const, color: 'text-muted', word: 'not begun' }
        const isShown = phase?.state === 'running'
        return (
          <li key={name} title={PHASE_NAMES[name]} className="flex items-center gap-1">
            <Glyph name={glyph} className={color} />
            <span className={isShown ? undefined : 'sr-only'}>{PHASE_NAMES[name]}</span>
            <span className="sr-only">{word}</span>
            {isShown ? <Since at={phase.startedAt} className="text-muted" /> : null}
          </li>
        )
      })}
    </ol>
  )
}
