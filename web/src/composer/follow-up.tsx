// The composer of a session: the next message, and the controls of the turn that runs.
import { useEffect, useRef } from 'react'
import type { SessionState, Turn } from '../../../src/protocol/session.ts'
import { describeError, isUnanswered } from '../app/api.ts'
import { withComments } from '../changes/review-comments.ts'
import type { Comments } from '../changes/use-comments.ts'
import type { SessionRequests } from '../sessions/use-session-requests.ts'
import { Button, IconButton } from '../ui/button.tsx'
import { Failure } from '../ui/failure.tsx'
import { Glyph } from '../ui/glyph.tsx'
import { useLasting } from '../ui/use-lasting.ts'
import { AttachedComments } from './attached-comments.tsx'
import { ModelField, ModeSelect } from './mode-model.tsx'
import { PromptBox } from './prompt-box.tsx'
import { Queue } from './queue.tsx'
import {
  forgetUnsent,
  noteReturned,
  takeArrived,
  takeLeft,
  turnIdFor,
  type Written,
} from './unsent-turn.ts'
import type { SetDraft } from './use-draft.ts'

export function FollowUp({
  session,
  draft: [text, setText],
  comments,
  queued,
  isThere,
  requests,
  onEscape,
}: {
  session: SessionState
  draft: [string, SetDraft]
  comments: Comments
  queued: readonly Turn[]
  /** Whether the session knows of this turn. */
  isThere: (turnId: string) => boolean
  requests: SessionRequests
  onEscape: () => void
}) {
  const box = useRef<HTMLTextAreaElement>(null)
  const { send } = requests
  const giveBack = useGivenBack({ session, setText, comments, isThere, requests })
  const busy = session.turn !== null && session.status !== 'failed'
  const submit = () => {
    const written = text.trim()
    const command = written.startsWith('!')
    // A command of the shell takes none along.
    const attached = command ? [] : comments.all
    const message = withComments(written, attached)
    if (message === '' || message === '!' || send.isPending) return
    const turnId = turnIdFor(session.id, message, { written, attached })
    // Cleared at once, so that the next message can be begun; a refusal brings the text back.
    setText('')
    if (attached.length > 0) comments.set(() => [])
    const sent = send.mutateAsync({
      text: command ? message.slice(1).trim() : message,
      kind: command ? 'command' : 'agent',
      turnId,
    })
    // Also once this session is not shown any more: callbacks given to `mutate` are not called then.
    void sent.then(
      () => forgetUnsent(session.id, turnId),
      () => {
        noteReturned(session.id, turnId)
        giveBack({ written, attached })
      },
    )
    box.current?.focus()
  }
  const sending = useLasting(send.isPending, 400) ? (send.variables?.text ?? null) : null
  const error = send.error ? describeError(send.error) : null
  return (
    <div>
      <Queue turns={queued} sending={sending} onTakeBack={requests.takeBack} />
      {error ? (
        <div className="mb-2">
          <Failure what="The message was not sent" why={error.message} reason={error.reason}>
            <Button onClick={submit}>Try again</Button>
          </Failure>
        </div>
      ) : null}
      {comments.all.length > 0 ? <AttachedComments comments={comments} /> : null}
      <PromptBox
        ref={box}
        value={text}
        onChange={setText}
        onSend={submit}
        onEscape={onEscape}
        label="Message"
        placeholder={
          busy
            ? 'Write the next message; it waits its turn'
            : 'Ask for a change, or ! and a command'
        }
      >
        <ModeSelect mode={session.mode} onChange={(mode) => requests.change.mutate({ mode })} />
        <ModelField
          model={session.model}
          onChange={(model) => requests.change.mutate({ model })}
          className="w-32 bg-transparent px-2 text-muted hover:bg-surface focus:text-text max-sm:w-16 max-sm:flex-1"
        />
        <Controls session={session} requests={requests} onInterrupt={onEscape} />
        <Button
          tone="primary"
          onClick={submit}
          busy={send.isPending}
          title={busy ? 'Queue the message (⌘↵)' : 'Send (⌘↵)'}
        >
          <span className="max-sm:sr-only">{busy ? 'Queue' : 'Send'}</span>
          <Glyph name="send" className="sm:-mr-1" />
        </Button>
      </PromptBox>
    </div>
  )
}

/** Puts into the composer again what was not sent, and takes out of it what had arrived all the same. */
function useGivenBack({
  session: { id },
  setText,
  comments,
  isThere,
  requests: { send, withdraw, writeFirst },
}: {
  session: SessionState
  setText: SetDraft
  comments: Comments
  isThere: (turnId: string) => boolean
  requests: SessionRequests
}) {
  const giveBack = ({ written, attached }: Written) => {
    setText((now) => [written, now].filter((one) => one.trim()).join('\n\n'))
    comments.set((now) => [...attached, ...now])
  }
  useEffect(() => {
    const left = takeLeft(id)
    if (left) giveBack(left)
    const arrived = takeArrived(id, isThere)
    if (!arrived) return
    setText((now) => without(now, arrived.written))
    comments.set((now) => now.filter((one) => !arrived.attached.some((sent) => sent.id === one.id)))
    if (send.variables?.turnId === arrived.turnId) send.reset()
  })
  useEffect(() => {
    const { error, variables } = withdraw
    if (!error || !variables || !isUnanswered(error) || isThere(variables.turnId)) return
    withdraw.reset()
    writeFirst(variables.text)
  })
  return giveBack
}

/** What was written since stays; so does all, where somebody has gone on in it. */
function without(text: string, written: string): string {
  if (text === written) return ''
  const start = `${written}\n\n`
  return written !== '' && text.startsWith(start) ? text.slice(start.length) : text
}

function Controls({
  session,
  requests,
  onInterrupt,
}: {
  session: SessionState
  requests: SessionRequests
  onInterrupt: () => void
}) {
  const running = session.turn !== null && session.status !== 'failed'
  const requested = session.turn?.interruptRequested === true
  const stoppable = running || session.sandbox.state === 'preparing'
  return (
    <span className="ml-auto flex gap-1">
      {running ? (
        <Button tone="quiet" onClick={onInterrupt} disabled={requested} className="px-2">
          {requested ? 'Interrupting' : 'Interrupt'}
          <kbd className="text-xs font-normal max-sm:hidden">esc</kbd>
        </Button>
      ) : null}
      {stoppable ? (
        <IconButton
          className="max-sm:hidden"
          label="Stop the sandbox; its files are kept"
          onClick={() => requests.stop.mutate()}
          busy={requests.stop.isPending}
        >
          <Glyph name="stop" />
        </IconButton>
      ) : null}
    </span>
  )
}
