// What can be asked of one session, with the state of each request for the place that shows it.

import { useState } from 'react'
import type { Client } from '../../../src/client/client.ts'
import type { NewMessage, SessionPatch } from '../../../src/protocol/api.ts'
import type { AllowScope, Answer, PushGrantChange } from '../../../src/protocol/session.ts'
import { useApi } from '../app/api.ts'
import { useRequest } from '../app/queries.ts'
import { forgetUnsent, noteReturned, turnIdFor } from '../composer/unsent-turn.ts'
import type { SetDraft } from '../composer/use-draft.ts'

type SessionAction = Parameters<Client['actOnSession']>[1]
export type SessionRequests = ReturnType<typeof useSessionRequests>

export function useSessionRequests(id: string, setDraft: SetDraft) {
  const api = useApi()
  /** A press of a button that sends nothing but itself. */
  const act = (action: SessionAction) => () => api.actOnSession(id, action)
  const writeFirst = (text: string) => setDraft((old) => (old.trim() ? `${text}\n\n${old}` : text))
  /** Messages that are being taken back. */
  const [leaving] = useState(() => new Set<string>())
  const send = useRequest((message: NewMessage) => api.sendMessage(id, message))
  const withdraw = useRequest(({ turnId }: { turnId: string; text: string }) =>
    api.withdrawMessage(id, turnId),
  )
  return {
    send,
    answer: useRequest(({ questionId, answer }: { questionId: string; answer: Answer }) =>
      api.answerQuestion(id, questionId, answer),
    ),
    change: useRequest((patch: SessionPatch) => api.patchSession(id, patch)),
    allow: useRequest(({ scope, host }: { scope: AllowScope; host?: string }) =>
      api.allow(id, scope, host),
    ),
    changeGrants: useRequest((change: PushGrantChange) => api.changeGrants(id, change)),
    interrupt: useRequest(({ turnId }: { turnId: string }) => api.interruptTurn(id, turnId)),
    stop: useRequest(act('stop')),
    retry: useRequest(act('retry')),
    push: useRequest(act('push')),
    archive: useRequest(act('archive')),
    unarchive: useRequest(act('unarchive')),
    remove: useRequest(() => api.removeSession(id)),
    withdraw,
    writeFirst,
    /** The text goes back in front of what is being written, also once this session is not shown any more. */
    takeBack: (turnId: string, text: string) => {
      // The second press of two would be refused, and said to have failed.
      if (leaving.has(turnId)) return
      leaving.add(turnId)
      void withdraw
        .mutateAsync({ turnId, text })
        .then(
          () => writeFirst(text),
          () => undefined,
        )
        .finally(() => leaving.delete(turnId))
    },
    /** What was not sent is in the composer, from where it can be. */
    sendAgain: (message: Pick<NewMessage, 'text' | 'kind'>) => {
      const written = message.kind === 'command' ? `!${message.text}` : message.text
      const turnId = turnIdFor(id, written, { written, attached: [] })
      void send.mutateAsync({ ...message, turnId }).then(
        () => forgetUnsent(id, turnId),
        () => {
          noteReturned(id, turnId)
          writeFirst(written)
        },
      )
    },
  }
}
