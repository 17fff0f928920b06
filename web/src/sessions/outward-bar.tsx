// Tells of commits that are safe here and not yet at their remote: why, when they are sent again, and sends them now.
import type { SessionState } from '../../../src/protocol/session.ts'
import { CredentialLink } from '../credentials/credential-link.tsx'
import { keptReason, type Row } from '../timeline/rows.ts'
import { Button } from '../ui/button.tsx'
import { Glyph } from '../ui/glyph.tsx'
import { plainText } from '../ui/plain-text.ts'
import { Until } from '../ui/time.tsx'
import type { SessionRequests } from './use-session-requests.ts'

/** One for each repository that waits; a press sends all of them. */
export function OutwardBars({
  session: { repository, outward, additional },
  rows,
  push,
}: {
  session: SessionState
  rows: readonly Row[]
  push: SessionRequests['push']
}) {
  const main = { name: repository.name, outward, of: null }
  const all = [main, ...additional.map((one) => ({ ...one, of: one.name }))]
  return all.map((one) => (
    <OutwardBar
      key={one.name}
      name={all.length > 1 ? one.name : null}
      outward={one.outward}
      reason={keptReason(rows, one.of)}
      push={push}
    />
  ))
}

function OutwardBar({
  name,
  outward,
  reason,
  push,
}: {
  /** Where there are several. */
  name: string | null
  outward: SessionState['outward']
  reason: string | null
  push: SessionRequests['push']
}) {
  const { state, message, nextAt } = outward
  if (state !== 'kept' && state !== 'refused') return null
  return (
    <section
      aria-label="Not yet at the remote"
      className="mb-2 flex flex-wrap items-center gap-x-3 gap-y-1 rounded-card bg-surface px-4 py-2.5 text-sm"
    >
      <Glyph name="push" className={state === 'refused' ? 'text-bad' : 'text-warn'} />
      <p className="min-w-0 flex-1 basis-52 [overflow-wrap:anywhere]">
        {name ? <span className="font-medium">{plainText(name)}: </span> : null}
        {state === 'refused'
          ? 'The remote refused the branch; its commits are safe here.'
          : 'The commits are safe here and not yet at the remote.'}
        {message ? <span className="block text-muted">{plainText(message)}</span> : null}
        {nextAt ? (
          <span className="block text-muted">
            Sent again <Until at={nextAt} />.
          </span>
        ) : null}
      </p>
      <CredentialLink reason={reason} />
      <Button onClick={() => push.mutate()} disabled={push.isPending}>
        Push again
      </Button>
    </section>
  )
}
