// Rules for what the runner claims. A claim about another turn or an earlier sandbox changes nothing, and no claim
// touches what was seen: pushes, denials, tokens and cost come from git and the gateway only.
import type { RunnerReport } from '../../protocol/runner-frames.ts'
import type { Draft } from './draft.ts'
import { measureAll } from './outward.ts'
import { advance, failPreparation } from './progress.ts'

export function decideRunnerReport(draft: Draft, report: RunnerReport): void {
  switch (report.type) {
    case 'phase.started':
    case 'phase.logged':
    case 'phase.completed':
    case 'phase.failed':
    case 'runner.ready':
      if (isPreparing(draft, report.generation)) decidePreparation(draft, report)
      return
    case 'agent.notice':
    case 'hook.started':
    case 'hook.ended':
      draft.emit('claimed', report)
      return
    case 'question.asked':
      if (isCurrentTurn(draft, report.question.turnId)) draft.emit('claimed', report)
      return
    case 'question.closed':
      if (knowsQuestion(draft, report.questionId)) draft.emit('claimed', report)
      return
    case 'turn.accepted':
    case 'setup.ended':
      return
    case 'turn.completed':
    case 'turn.interrupted':
      if (!isCurrentTurn(draft, report.turnId)) return
      draft.emit('claimed', report)
      measureAll(draft)
      advance(draft)
      return
    case 'turn.failed':
      if (!isCurrentTurn(draft, report.turnId)) return
      draft.emit('claimed', report)
      measureAll(draft)
      return
    case 'assistant.text':
    case 'assistant.thinking':
    case 'tool.called':
    case 'tool.returned':
    case 'command.output':
      if (isCurrentTurn(draft, report.turnId)) draft.emit('claimed', report)
      return
  }
}

type PreparationReport = Extract<RunnerReport, { generation: number }>

function decidePreparation(draft: Draft, report: PreparationReport): void {
  switch (report.type) {
    case 'runner.ready':
      draft.emit('claimed', { type: 'sandbox.ready', generation: report.generation })
      return
    case 'phase.failed': {
      const { phase, durationMs, reason, message } = report
      failPreparation(draft, 'claimed', { phase, durationMs, reason, message })
      return
    }
    default:
      draft.emit('claimed', report)
  }
}

function isPreparing(draft: Draft, generation: number): boolean {
  const { sandbox } = draft.state
  return sandbox.state === 'preparing' && sandbox.generation === generation
}

function isCurrentTurn(draft: Draft, turnId: string): boolean {
  return draft.state.turn?.id === turnId
}

function knowsQuestion(draft: Draft, questionId: string): boolean {
  const { questions, answers } = draft.state
  return (
    questions.some((question) => question.id === questionId) || Object.hasOwn(answers, questionId)
  )
}
