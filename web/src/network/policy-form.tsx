// Setting what a session may reach from now on. The saved environment stays as it is.
import { useState } from 'react'
import type { SessionState } from '../../../src/protocol/session.ts'
import { describeError } from '../app/api.ts'
import { LEVELS } from '../composer/task-settings.tsx'
import {
  type NetworkDraft,
  type NetworkProblems,
  networkProblemsIn,
  toNetwork,
  toNetworkDraft,
} from '../environments/network-draft.ts'
import { NetworkFields } from '../environments/network-fields.tsx'
import type { SessionRequests } from '../sessions/use-session-requests.ts'
import { Button } from '../ui/button.tsx'
import { Failure } from '../ui/failure.tsx'

export function PolicyForm({
  session,
  change,
}: {
  session: SessionState
  change: SessionRequests['change']
}) {
  const [draft, setDraft] = useState<NetworkDraft | null>(null)
  const [problems, setProblems] = useState<NetworkProblems>({})
  const { network } = session.environment
  if (session.status === 'archived') return null
  if (!draft)
    return (
      <Button className="self-start" onClick={() => setDraft(toNetworkDraft(network))}>
        Change it
      </Button>
    )
  const save = () => {
    const found = networkProblemsIn(draft)
    setProblems(found)
    if (Object.keys(found).length > 0) return
    change.mutate({ network: toNetwork(draft, network) }, { onSuccess: () => setDraft(null) })
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
        problems={problems}
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
