// The preparation of the sandbox: five phases with how long each took, its log on opening, and what mends it.
import { PHASES } from '../../../src/protocol/session.ts'
import type { TimelineItem } from '../../../src/protocol/timeline.ts'
import type { PhaseLine } from '../../../src/protocol/timeline-preparation.ts'
import { CredentialLink } from '../credentials/credential-link.tsx'
import { Button } from '../ui/button.tsx'
import { Failure } from '../ui/failure.tsx'
import { formatDuration } from '../ui/format.ts'
import { Glyph } from '../ui/glyph.tsx'
import { plainText } from '../ui/plain-text.ts'
import { Since } from '../ui/time.tsx'
import { CodeBlock } from './code-block.tsx'
import { Disclosure } from './disclosure.tsx'
import { PHASE_NAMES, PHASE_SIGNS } from './phase-look.ts'

type Preparation = Extract<TimelineItem, { kind: 'preparation' }>

export function PreparationItem({
  item,
  current,
  failed: isFailed,
  onRetry,
  onStop,
}: {
  item: Preparation
  /** Whether this is the last preparation, the only one that can be retried or stopped. */
  current: boolean
  /** Whether the session waits for what mends it. */
  failed: boolean
  onRetry: () => void
  onStop: () => void
}) {
  const failed = item.phases.find((phase) => phase.state === 'failed')
  const isGoingOn = !item.ready && !isOver(item)
  const totalMs = spanMs(item.phases)
  const title = item.resume ? 'Sandbox started again' : 'Sandbox prepared'
  const phases = <Phases item={item} />
  if (item.ready && !failed)
    return (
      <Disclosure
        id={`preparation-${item.seq}`}
        className="mt-2"
        line={
          <>
            <span className="text-muted">{title}</span>
            <span className="ml-auto flex items-center gap-2 text-xs text-muted">
              {formatDuration(totalMs)}
              <Glyph name="check" className="text-ok" />
            </span>
          </>
        }
      >
        {phases}
      </Disclosure>
    )
  return (
    <section aria-label="Preparation" className="mt-3 flex flex-col gap-1">
      {phases}
      {failed ? (
        <Failure
          what={`${PHASE_NAMES[failed.name]}: failed`}
          why={failed.message}
          reason={failed.reason}
        >
          {current && isFailed ? (
            <>
              <Button tone="primary" onClick={onRetry}>
                Retry
              </Button>
              <CredentialLink reason={failed.reason} />
              <Button onClick={onStop}>Stop</Button>
            </>
          ) : null}
        </Failure>
      ) : null}
      {current && isGoingOn ? (
        <Button onClick={onStop} className="mt-1 self-start">
          Stop
        </Button>
      ) : null}
    </section>
  )
}

/** Without having got ready. */
function isOver({ phases }: Preparation): boolean {
  return phases.some(({ state }) => state === 'failed' || state === 'stopped')
}

/** From the first start to the last end; phases overlap. */
function spanMs(phases: readonly PhaseLine[]): number {
  const starts = phases.map(({ startedAt }) => Date.parse(startedAt))
  const ends = phases.map(({ startedAt, durationMs }) => Date.parse(startedAt) + (durationMs ?? 0))
  return Math.max(0, Math.max(...ends) - Math.min(...starts))
}

function Phases({ item }: { item: Preparation }) {
  const begun = new Map(item.phases.map((phase) => [phase.name, phase]))
  const over = item.ready || isOver(item)
  return (
    <ol>
      {PHASES.map((name) => {
        const phase = begun.get(name)
        if (phase) return <PhaseRow key={name} phase={phase} id={`${item.seq}-${name}`} />
        return over ? null : (
          <li key={name} className="hit flex items-center gap-1.5 text-sm text-muted">
            <span className="w-4" />
            <Glyph name="ring" />
            {PHASE_NAMES[name]}
          </li>
        )
      })}
    </ol>
  )
}

function PhaseRow({ phase, id }: { phase: PhaseLine; id: string }) {
  const { glyph, color, word } = PHASE_SIGNS[phase.state]
  const latest = phase.lines.at(-1)
  return (
    <li>
      <Disclosure
        id={`phase-${id}`}
        first={phase.state === 'failed'}
        line={
          <>
            <Glyph name={glyph} className={color} />
            <span className={phase.state === 'completed' ? 'text-muted' : undefined}>
              {PHASE_NAMES[phase.name]}
            </span>
            {phase.state === 'stopped' ? null : <span className="sr-only">{word}</span>}
            <span className="ml-auto text-xs text-muted">
              {phase.state === 'stopped' ? 'stopped after ' : ''}
              {phase.durationMs === null ? (
                <Since at={phase.startedAt} />
              ) : phase.kept ? (
                'kept'
              ) : (
                formatDuration(phase.durationMs)
              )}
            </span>
          </>
        }
      >
        {phase.lines.length > 0 ? (
          <CodeBlock text={phase.lines.join('\n')} keep="end" />
        ) : (
          <p className="text-xs text-muted">Nothing was written to its log.</p>
        )}
      </Disclosure>
      {phase.state === 'running' && latest ? (
        <p className="code-text truncate pl-6 text-xs text-muted">{plainText(latest)}</p>
      ) : null}
    </li>
  )
}
