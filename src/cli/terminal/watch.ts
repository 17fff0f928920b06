// Follows a session at the terminal until something is reached, somebody is needed, or Ctrl-C lets go of it.
import type { Followed } from '../../client/follow.ts'
import { sendUntilAnswered } from '../../client/send-again.ts'
import type { SessionView } from '../../protocol/apply-event.ts'
import { AppError } from '../../protocol/errors.ts'
import type { SessionEvent } from '../../protocol/event.ts'
import type { Question } from '../../protocol/session.ts'
import type { Cli } from '../command.ts'
import type { Connection } from '../deps.ts'
import { askQuestion } from './ask.ts'
import { plainLine } from './plain-text.ts'
import type { Renderer } from './render.ts'

export interface Watch {
  connection: Connection
  sessionId: string
  renderer: Renderer
  /** Questions before this number are history: they are shown and nobody is asked. */
  liveFrom: number
  isOver(view: SessionView, event: SessionEvent): boolean
  /** When a question comes and nobody can be asked here: `end` the watch or `wait` on. */
  unanswered: 'end' | 'wait'
  onEvent?(event: SessionEvent): void
}

export type WatchEnd = 'over' | 'detached' | 'waiting'

export async function watchSession(cli: Cli, watch: Watch): Promise<WatchEnd> {
  const { connection, sessionId, renderer } = watch
  const ended = new AbortController()
  let isDetached = false
  const detach = () => {
    isDetached = true
    stopListening()
    ended.abort()
  }
  // After the first Ctrl-C nobody listens: a second one ends the program at once.
  const stopListening = cli.deps.onInterrupt(detach)
  const questions = createQuestions(cli, { ...watch, signal: ended.signal, detach })
  try {
    const followed = connection.client.followEvents(sessionId, { signal: ended.signal })
    for await (const item of followed) {
      show(renderer, item)
      if (item.kind !== 'event') continue
      watch.onEvent?.(item.event)
      const view = renderer.view()
      if (watch.isOver(view, item.event)) return 'over'
      if (item.event.seq >= watch.liveFrom && questions.look(view) === 'unanswered') {
        if (watch.unanswered === 'end') return 'waiting'
      }
    }
    return isDetached ? 'detached' : 'over'
  } finally {
    stopListening()
    ended.abort()
    renderer.close()
  }
}

function show(renderer: Renderer, item: Followed): void {
  switch (item.kind) {
    case 'event':
      renderer.event(item.event)
      return
    case 'delta':
      renderer.delta(item.delta)
      return
    case 'place':
      renderer.place(item.place)
      return
    case 'connection':
      renderer.connection(item.state)
      return
  }
}

interface Asking {
  connection: Connection
  sessionId: string
  renderer: Renderer
  signal: AbortSignal
  detach(): void
}

/** Asks one question at a time; takes it back when it was answered elsewhere. */
function createQuestions(cli: Cli, { connection, sessionId, renderer, signal, detach }: Asking) {
  const { prompt } = cli.deps
  const done = new Set<string>()
  let current: { id: string; closed: AbortController } | undefined
  const ask = async (question: Question, closed: AbortController) => {
    const both = AbortSignal.any([signal, closed.signal])
    const askLine = (text: string) =>
      prompt?.(text, { signal: both, onInterrupt: detach }) ??
      Promise.reject(new Error('no terminal'))
    renderer.pause()
    try {
      const answer = await askQuestion(question, askLine)
      done.add(question.id)
      const send = () => connection.client.answerQuestion(sessionId, question.id, answer)
      await sendUntilAnswered(send, undefined, both)
    } catch (error) {
      if (!both.aborted && !isAnswered(error)) {
        const said = error instanceof Error ? error.message : String(error)
        cli.deps.stderr.write(`errand: the answer did not arrive: ${plainLine(said)}\n`)
        detach()
      }
    } finally {
      current = undefined
      renderer.resume()
    }
    look(renderer.view())
  }
  const look = ({ session }: SessionView): 'asked' | 'unanswered' | 'none' => {
    const open = session?.questions.filter(({ id }) => !done.has(id)) ?? []
    if (current && !open.some(({ id }) => id === current?.id)) current.closed.abort()
    const [next] = open
    if (!next || signal.aborted) return 'none'
    if (!prompt) return 'unanswered'
    if (!current) {
      current = { id: next.id, closed: new AbortController() }
      void ask(next, current.closed)
    }
    return 'asked'
  }
  return { look }
}

/** Somebody was faster: no reason to stop. */
function isAnswered(error: unknown): boolean {
  return error instanceof AppError && (error.code === 'conflict' || error.code === 'not_found')
}
