// The messages that wait for the running turn. Taking one back returns its text into the composer.
import type { Turn } from '../../../src/protocol/session.ts'
import { IconButton } from '../ui/button.tsx'
import { Glyph } from '../ui/glyph.tsx'
import { useReturnFocus } from './use-return-focus.ts'

export function Queue({
  turns,
  sending,
  onTakeBack,
}: {
  turns: readonly Turn[]
  /** A message that is on its way to the server. */
  sending: string | null
  onTakeBack: (turnId: string, text: string) => void
}) {
  return (
    <>
      {turns.length > 0 ? <Waiting turns={turns} onTakeBack={onTakeBack} /> : null}
      {sending === null ? null : (
        <p role="status" className="mb-2 truncate px-1 text-sm text-muted">
          Sending: {sending}
        </p>
      )}
    </>
  )
}

function Waiting({
  turns,
  onTakeBack,
}: {
  turns: readonly Turn[]
  onTakeBack: (turnId: string, text: string) => void
}) {
  const focus = useReturnFocus()
  return (
    <section {...focus} aria-label="Queued messages" className="mb-2">
      <h3 className="px-1 text-xs text-muted">Sent next, when this turn is over</h3>
      <ol>
        {turns.map((turn) => {
          const text = turn.kind === 'command' ? `!${turn.text}` : turn.text
          return (
            <li key={turn.id} className="flex animate-appear items-center gap-1 pl-1">
              <p className="min-w-0 flex-1 truncate text-sm">{text}</p>
              <IconButton label="Take this message back" onClick={() => onTakeBack(turn.id, text)}>
                <Glyph name="cross" />
              </IconButton>
            </li>
          )
        })}
      </ol>
    </section>
  )
}
