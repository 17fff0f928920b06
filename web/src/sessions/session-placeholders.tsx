// What stands in the place of a session that is not there yet, or cannot be read.
import { Link } from '@tanstack/react-router'
import { useState } from 'react'
import type { AppError } from '../../../src/protocol/errors.ts'
import { STATE_UNREADABLE } from '../../../src/protocol/found-session.ts'
import { describeError, useApi } from '../app/api.ts'
import { useRequest } from '../app/queries.ts'
import { Button } from '../ui/button.tsx'
import { Dialog } from '../ui/dialog.tsx'
import { Failure } from '../ui/failure.tsx'
import { Skeleton } from '../ui/skeleton.tsx'
import { RemoveForm } from './session-menu.tsx'

export function SessionSkeleton({ reconnecting }: { reconnecting: boolean }) {
  return (
    <div className="h-full" role="status" aria-label="Loading the session">
      <div className="flex h-[73px] flex-col justify-center gap-2 border-b border-line px-4 sm:px-6">
        <Skeleton className="h-4 w-72 max-w-full" />
        <Skeleton className="h-3 w-96 max-w-full" />
      </div>
      <div className="mx-auto flex max-w-[760px] flex-col gap-3 px-4 pt-4">
        {reconnecting ? <p className="text-sm text-muted">Waiting for Errand to answer</p> : null}
        <Skeleton className="h-[70px] rounded-card" />
        <Skeleton className="h-5 w-2/3" />
        <Skeleton className="h-5 w-1/2" />
        <Skeleton className="h-5 w-3/4" />
      </div>
    </div>
  )
}

export function LoadFailure({
  id,
  error,
  onRetry,
}: {
  id: string
  error: AppError | null
  onRetry: () => void
}) {
  const missing = error?.code === 'not_found'
  return (
    <div className="mx-auto max-w-[760px] px-4 pt-[12vh]">
      <Failure
        what={missing ? 'There is no such session' : 'The session could not be read'}
        why={missing ? 'It may have been removed, or the address is not complete.' : error?.message}
        reason={error?.reason ?? null}
      >
        {missing ? (
          <Link to="/" className="hit inline-flex items-center text-sm font-medium underline">
            Start a new task
          </Link>
        ) : (
          <Button onClick={onRetry}>Try again</Button>
        )}
        {error?.reason === STATE_UNREADABLE ? <RemoveUnreadable id={id} /> : null}
      </Failure>
    </div>
  )
}

function RemoveUnreadable({ id }: { id: string }) {
  const api = useApi()
  const remove = useRequest(() => api.removeSession(id))
  const [asking, setAsking] = useState(false)
  const close = () => setAsking(false)
  return (
    <>
      <Button tone="bad" onClick={() => setAsking(true)}>
        Remove
      </Button>
      <Dialog open={asking} onClose={close} title="Remove the session?">
        <RemoveForm branch={null} remove={remove} onDone={close} />
      </Dialog>
      {remove.error ? (
        <p className="basis-full text-bad">
          It was not removed: {describeError(remove.error).message}
        </p>
      ) : null}
    </>
  )
}
