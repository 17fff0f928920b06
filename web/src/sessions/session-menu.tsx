// What is done rarely with a session: rename, stop, archive, remove. What cannot be undone asks first.
import { useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import type { SessionState } from '../../../src/protocol/session.ts'
import { Button } from '../ui/button.tsx'
import { Dialog } from '../ui/dialog.tsx'
import { Input } from '../ui/field.tsx'
import { Glyph } from '../ui/glyph.tsx'
import { Menu, type MenuAction } from '../ui/menu.tsx'
import type { SessionRequests } from './use-session-requests.ts'

interface Props {
  session: SessionState
  requests: SessionRequests
}

export function SessionMenu({ session, requests }: Props) {
  const navigate = useNavigate()
  const [asking, setAsking] = useState<'rename' | 'remove' | null>(null)
  const close = () => setAsking(null)
  const archived = session.status === 'archived'
  const hasSandbox = session.sandbox.state === 'ready' || session.sandbox.state === 'preparing'
  const address = { to: '/sessions/$sessionId', params: { sessionId: session.id } } as const
  const actions: MenuAction[] = [
    {
      label: 'Network',
      onSelect: () => void navigate({ ...address, search: { panel: 'network' } }),
    },
    { label: 'Rename', onSelect: () => setAsking('rename') },
    ...(session.status === 'queued' && !hasSandbox
      ? [{ label: 'Leave the queue', onSelect: () => requests.stop.mutate() }]
      : []),
    ...(hasSandbox ? [{ label: 'Stop the sandbox', onSelect: () => requests.stop.mutate() }] : []),
    archived
      ? { label: 'Bring back from archive', onSelect: () => requests.unarchive.mutate() }
      : { label: 'Archive', onSelect: () => requests.archive.mutate() },
    { label: 'Remove', bad: true, onSelect: () => setAsking('remove') },
  ]
  return (
    <>
      <Menu label="More for this session" trigger={<Glyph name="more" />} actions={actions} />
      <Dialog open={asking === 'rename'} onClose={close} title="Rename the session">
        <RenameForm session={session} requests={requests} onDone={close} />
      </Dialog>
      <Dialog open={asking === 'remove'} onClose={close} title="Remove the session?">
        <RemoveForm branch={session.repository.branch} remove={requests.remove} onDone={close} />
      </Dialog>
    </>
  )
}

function RenameForm({ session, requests, onDone }: Props & { onDone: () => void }) {
  const [title, setTitle] = useState(session.title)
  return (
    <form
      className="flex gap-2"
      onSubmit={(event) => {
        event.preventDefault()
        if (title.trim()) requests.change.mutate({ title: title.trim() })
        onDone()
      }}
    >
      <Input
        value={title}
        onChange={(event) => setTitle(event.target.value)}
        aria-label="Title"
        maxLength={200}
      />
      <Button type="submit" tone="primary" disabled={!title.trim()}>
        Rename
      </Button>
    </form>
  )
}

export function RemoveForm({
  branch,
  remove,
  onDone,
}: {
  /** Null where it is not known. */
  branch: string | null
  remove: SessionRequests['remove']
  onDone: () => void
}) {
  const navigate = useNavigate()
  const press = () => {
    remove.mutate(undefined, { onSuccess: () => void navigate({ to: '/' }) })
    onDone()
  }
  return (
    <>
      <p>
        Its sandbox, its conversation and what is in{' '}
        {branch === null ? 'its branch' : <span className="code-text">{branch}</span>} here are
        deleted. What was pushed to the remote stays there.
      </p>
      <div className="mt-4 flex justify-end gap-2">
        <Button onClick={onDone}>Keep it</Button>
        <Button tone="bad" onClick={press}>
          Remove
        </Button>
      </div>
    </>
  )
}
