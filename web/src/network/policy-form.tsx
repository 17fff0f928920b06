// Setting what a session may reach from now on. The saved environment stays as it is.
import { useState } from 'react'
import type { SessionState } from '../../../src/protocol/session.ts'
import { describeError } from '../app/api.ts'
import { LEVELS } from '../composer/task-settings.tsx'
import { useKeptFields } from '../composer/use-kept-fields.ts'
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
  const [isOpen, setOpen] = useState(false)
  const { kept, change: keep, forget } = useKeptFields<NetworkDraft>(`policy:${session.id}`)
  const [problems, setProblems] = useState<NetworkProblems>({})
  const { network } = session.environment
  if (session.status === 'archived') return null
  const isChanging = isOpen || Object.keys(kept).length > 0
  if (!isChanging)
    return (
      <Button className="self-start" onClick={() => setOpen(true)}>
        Change it
      </Button>
    )
  const draft = { ...toNetworkDraft(network), ...kept }
  const close = () => {
    forget()
    setOpen(false)
  }
  const save = () => {
    const found = networkProblemsIn(draft)
    setProblems(found)
    if (Object.keys(found).length > 0) return
    // Also once this is not shown any more.
    void change.mutateAsync({ network: toNetwork(draft, network) }).then(close, () => undefined)
  }
  return (
    <form
      className="flex flex-col gap-3 rounded-card border border-line bg-surface p-3"
      onSubmit={(event) => {
        event.preventDefault()
        save()
      }}
    >
      <NetworkFields draft={draft} problems={problems} onChange={keep} />
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
        <Button onClick={close}>Leave it</Button>
      </div>
    </form>
  )
}
