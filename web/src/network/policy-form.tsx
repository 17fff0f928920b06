// Setting what a session may reach from now on. The saved environment stays as it is.
import { useState } from 'react'
import { type NetworkLevel, networkPolicySchema } from '../../../src/protocol/environment.ts'
import type { SessionState } from '../../../src/protocol/session.ts'
import { describeError } from '../app/api.ts'
import { LEVELS } from '../composer/task-settings.tsx'
import { NetworkFields } from '../environments/network-fields.tsx'
import type { SessionRequests } from '../sessions/use-session-requests.ts'
import { Button } from '../ui/button.tsx'
import { Failure } from '../ui/failure.tsx'

interface Draft {
  level: NetworkLevel
  /** One on each line. */
  domains: string
  includeTrusted: boolean
}

export function PolicyForm({
  session,
  change,
}: {
  session: SessionState
  change: SessionRequests['change']
}) {
  const [draft, setDraft] = useState<Draft | null>(null)
  const [problem, setProblem] = useState<string>()
  const { network } = session.environment
  if (session.status === 'archived') return null
  if (!draft)
    return (
      <Button
        className="self-start"
        onClick={() => setDraft({ ...network, domains: network.domains.join('\n') })}
      >
        Change it
      </Button>
    )
  const save = () => {
    const domains = draft.domains.split(/\s+/).filter(Boolean)
    const parsed = networkPolicySchema.safeParse({ ...draft, domains })
    if (!parsed.success) return setProblem('Host names, or *. and a domain; with :port if needed.')
    setProblem(undefined)
    change.mutate({ network: parsed.data }, { onSuccess: () => setDraft(null) })
  }
  return (
    <form
      className="flex flex-col gap-3 rounded-card border border-line bg-surface p-3"
      onSubmit={(event) => {
        event.preventDefault()
        save()
      }}
    >
      <NetworkFields
        draft={draft}
        problem={problem}
        onChange={(part) => setDraft({ ...draft, ...part })}
      />
      <p className="text-xs text-muted">
        It holds within two seconds, for this session alone. What is open and no longer allowed is
        ended.
      </p>
      {change.error ? (
        <Failure what="It was not changed" why={describeError(change.error).message} />
      ) : null}
      <div className="flex gap-2">
        <Button tone="primary" type="submit" busy={change.isPending}>
          Set to {LEVELS[draft.level].toLowerCase()}
        </Button>
        <Button onClick={() => setDraft(null)}>Leave it</Button>
      </div>
    </form>
  )
}
