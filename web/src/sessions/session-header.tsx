// The head of a session: its title and state, and in one quiet line where it works, how it is isolated, what it cost.
import { Link, useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import type { Place } from '../../../src/protocol/api.ts'
import type { SessionState, Usage } from '../../../src/protocol/session.ts'
import { LEVELS } from '../composer/task-settings.tsx'
import { Button } from '../ui/button.tsx'
import { classes } from '../ui/classes.ts'
import { Counts } from '../ui/counts.tsx'
import { formatCount, formatMoney, plural } from '../ui/format.ts'
import { Glyph } from '../ui/glyph.tsx'
import { PhaseStrip } from './phase-strip.tsx'
import { describeState, lookOf } from './session-look.ts'
import { SessionMenu } from './session-menu.tsx'
import { totalChanges } from './total-changes.ts'
import type { SessionRequests } from './use-session-requests.ts'

export function SessionHeader({
  session,
  place,
  requests,
  changesOpen,
}: {
  session: SessionState
  place: Place | null
  requests: SessionRequests
  changesOpen: boolean
}) {
  const navigate = useNavigate()
  const look = lookOf(describeState(session, place))
  const changes = totalChanges(session)
  const toggle = () =>
    void navigate({
      to: '/sessions/$sessionId',
      params: { sessionId: session.id },
      search: changesOpen ? {} : { panel: 'changes' },
    })
  return (
    <header className="border-b border-line px-4 pt-2.5 pb-2 sm:px-6">
      <div className="flex items-center gap-2">
        <span className={classes('flex items-center gap-1 text-sm whitespace-nowrap', look.color)}>
          <Glyph name={look.glyph} />
          {look.word}
        </span>
        <h1 className="min-w-0 flex-1 truncate text-lg font-semibold" title={session.title}>
          {session.title}
        </h1>
        <Button
          tone={changesOpen ? 'plain' : 'quiet'}
          onClick={toggle}
          data-panel-toggle
          aria-expanded={changesOpen}
          aria-keyshortcuts="d"
          title="Changes (d)"
          className="px-2.5 max-md:hidden"
        >
          Changes
          {changes ? (
            <Counts
              insertions={changes.insertions}
              deletions={changes.deletions}
              none={plural(changes.files, 'file')}
            />
          ) : null}
        </Button>
        <SessionMenu session={session} requests={requests} />
      </div>
      <Facts session={session} />
      <PhaseStrip sandbox={session.sandbox} />
    </header>
  )
}

const NETWORK = 'Network level'

function Facts({ session }: { session: SessionState }) {
  const [open, setOpen] = useState(false)
  const { repository, environment, sandbox, model, usage } = session
  const facts: [string, string][] = [
    [`Repository ${repository.url}`, repository.name],
    ...session.additional.map(({ url, name, access }): [string, string] => [
      access === 'read' ? `Repository ${url}, read only` : `Repository ${url}`,
      access === 'read' ? `${name} (read only)` : name,
    ]),
    ['The branch that this session pushes to', repository.branch],
    ['Environment', environment.name],
    [NETWORK, `network: ${LEVELS[environment.network.level].toLowerCase()}`],
    ['Model', model ?? 'default model'],
    ['Isolation', sandbox.isolation ?? ''],
    ['Usage', describeUsage(usage)],
  ]
  const shown = facts.filter(([, value]) => value !== '')
  return (
    <div className="flex min-w-0 items-start gap-1 pt-0.5 text-xs text-muted">
      <p
        className={classes(
          'flex min-w-0 flex-1 gap-x-1.5 md:flex-wrap',
          open
            ? 'flex-wrap'
            : 'max-md:overflow-hidden max-md:whitespace-nowrap max-md:[mask-image:linear-gradient(to_right,#000_85%,transparent)]',
        )}
      >
        {shown.map(([name, value], index) => (
          <span key={name} className="flex min-w-0 gap-x-1.5 max-md:shrink-0" title={name}>
            {name === NETWORK ? (
              <Link
                to="/sessions/$sessionId"
                params={{ sessionId: session.id }}
                search={{ panel: 'network' }}
                className="underline decoration-line underline-offset-2 hover:text-text"
              >
                {value}
              </Link>
            ) : (
              <span className="min-w-0 [overflow-wrap:anywhere]">{value}</span>
            )}
            {index < shown.length - 1 ? <span aria-hidden="true">·</span> : null}
          </span>
        ))}
      </p>
      <Button
        tone="quiet"
        aria-expanded={open}
        aria-label={open ? 'Show less' : 'Show all of it'}
        onClick={() => setOpen(!open)}
        className="hit-square -my-2.5 px-0 md:hidden"
      >
        <Glyph name="down" className={open ? 'rotate-180' : ''} />
      </Button>
    </div>
  )
}

function describeUsage(usage: Usage): string {
  if (usage.requests === 0) return ''
  const tokens =
    usage.inputTokens + usage.cacheReadTokens + usage.cacheCreationTokens + usage.outputTokens
  const counted = `${formatCount(tokens)} ${tokens === 1 ? 'token' : 'tokens'} in ${plural(usage.requests, 'request')}`
  return usage.costUsd === null
    ? `${counted}, price unknown`
    : `${counted}, ${formatMoney(usage.costUsd)}`
}
