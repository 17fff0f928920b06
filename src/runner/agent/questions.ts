// What the agent asks while it works: questions, permissions, plans. Each becomes one open question that is answered by the
// directives, whenever that is; the agent waits as long as it takes. Also open while nobody is attached.
import type { CanUseTool, PermissionResult } from '@anthropic-ai/claude-agent-sdk/core'
import { z } from 'zod'
import type { RunnerReport } from '../../protocol/runner-frames.ts'
import {
  type Answer,
  type Mode,
  type Question,
  questionOptionSchema,
} from '../../protocol/session.ts'
import type { StateFile } from '../state-file.ts'
import { PERMISSION_MODES } from './agent-mode.ts'

const askedItemsSchema = z.object({
  questions: z
    .array(
      z.object({
        question: z.string(),
        header: z.string().default(''),
        multiSelect: z.boolean().default(false),
        options: z.array(questionOptionSchema).default([]),
      }),
    )
    .catch([]),
})

type ToolInput = Record<string, unknown>

export interface Questions {
  /** For the agent: resolves when the question was answered; a question of an interrupted turn is closed. */
  ask: (
    asked: { turnId: string; id: string; tool: string; input: ToolInput; title: string },
    signal: AbortSignal,
  ) => Promise<PermissionResult>
  /** All answers that are known now, by question id. */
  answer(answers: Record<string, Answer>): void
  /** Closes what an earlier run of the runner left open. */
  closeLeftOver(): void
}

export interface QuestionDeps {
  report: (report: RunnerReport) => void
  state: StateFile
  /** What the session is to be in now. */
  mode: () => Mode
  now: () => Date
}

export function createQuestions({ report, state, mode, now }: QuestionDeps): Questions {
  const open = new Map<string, (answer: Answer | undefined) => void>()
  const closed = new Set<string>()

  const close = (id: string) => {
    if (closed.has(id)) return
    closed.add(id)
    open.delete(id)
    report({ type: 'question.closed', questionId: id })
    state.set({ openQuestions: state.get().openQuestions.filter((other) => other !== id) })
  }
  return {
    async ask(asked, signal) {
      const id = freshId(asked.id, (taken) => open.has(taken) || closed.has(taken))
      const answered = new Promise<Answer | undefined>((resolve) => {
        open.set(id, resolve)
        if (signal.aborted) resolve(undefined)
        signal.addEventListener('abort', () => resolve(undefined), { once: true })
      })
      state.set({ openQuestions: [...state.get().openQuestions, id] })
      const question = describeQuestion({ ...asked, id }, now().toISOString())
      report({ type: 'question.asked', question })
      const answer = await answered
      if (answer?.allow && question.kind === 'plan') state.set({ planApprovedIn: asked.turnId })
      close(id)
      return answer === undefined
        ? { behavior: 'deny', message: 'The turn was interrupted.' }
        : permissionFor(answer, question, { input: asked.input, mode: mode() })
    },
    answer(answers) {
      for (const [id, answer] of Object.entries(answers)) {
        const waiting = open.get(id)
        if (waiting) waiting(answer)
        else close(id)
      }
    },
    closeLeftOver() {
      for (const id of state.get().openQuestions) close(id)
    },
  }
}

/** The callback that Claude Code asks. `turnId` is that of the working turn. */
export function createCanUseTool(
  questions: Questions,
  turnId: () => string | undefined,
): CanUseTool {
  return async (tool, input, { signal, toolUseID: id, title, decisionReason }) => {
    const current = turnId()
    if (current === undefined)
      return { behavior: 'deny', message: 'Nobody can be asked outside of a turn.' }
    const asked = { turnId: current, id, tool, input, title: title ?? decisionReason ?? '' }
    return questions.ask(asked, signal)
  }
}

/** How the question looks to a person. */
export function describeQuestion(
  asked: { turnId: string; id: string; tool: string; input: ToolInput; title: string },
  askedAt: string,
): Question {
  const { turnId, id, tool, input } = asked
  const base = { id, turnId, askedAt, items: [], detail: '' }
  switch (tool) {
    case 'AskUserQuestion': {
      const items = askedItemsSchema.parse(input).questions
      return {
        ...base,
        kind: 'question',
        title: items[0]?.question ?? 'The agent has a question',
        items,
      }
    }
    case 'ExitPlanMode': {
      const plan = typeof input.plan === 'string' ? input.plan : ''
      return { ...base, kind: 'plan', title: 'The agent has a plan', detail: plan }
    }
    default: {
      const title = asked.title || `The agent wants to use ${tool}`
      return {
        ...base,
        kind: 'permission',
        title,
        detail: `${tool} ${JSON.stringify(input, null, 2)}`,
      }
    }
  }
}

/** What the answer means to Claude Code. */
export function permissionFor(
  answer: Answer,
  question: Question,
  { input, mode }: { input: ToolInput; mode: Mode },
): PermissionResult {
  if (!answer.allow)
    return { behavior: 'deny', message: answer.message || 'The user declined this.' }
  switch (question.kind) {
    case 'question':
      return {
        behavior: 'allow',
        updatedInput: { ...input, answers: answersFor(answer, question) },
      }
    case 'plan':
      // The sandbox is the boundary: after the plan was approved the work needs no more asking, unless that is wanted. An agent
      // makes plans of its own accord as well.
      return {
        behavior: 'allow',
        updatedInput: input,
        updatedPermissions: [
          {
            type: 'setMode',
            mode: PERMISSION_MODES[mode === 'plan' ? 'work' : mode],
            destination: 'session',
          },
        ],
      }
    case 'permission':
      return { behavior: 'allow', updatedInput: input }
  }
}

/** A message without a choice answers every question that was left out. */
function answersFor(answer: Answer, question: Question): Record<string, string> {
  const given = question.items.map((item) => [
    item.question,
    answer.answers[item.question] ?? answer.message,
  ])
  return Object.fromEntries(given.filter(([, text]) => text !== ''))
}

function freshId(wanted: string, isTaken: (id: string) => boolean): string {
  for (let count = 1; ; count++) {
    const id = count === 1 ? wanted : `${wanted}-${count}`
    if (!isTaken(id)) return id
  }
}
