// Rules for what the worker, git, the gateway and the clock report of the outside.
import type { ReportCommand } from '../../protocol/command.ts'
import { PHASE_LIMITS_MS, type Phase, type SessionState } from '../../protocol/session.ts'
import { readEnvironmentFile } from '../starting/environment-file.ts'
import type { Rules } from './decide.ts'
import type { Draft } from './draft.ts'
import { keepTrying, takePush } from './outward.ts'
import { admit, advance, failPreparation } from './progress.ts'

/** A started sandbox whose runner says nothing for this long has failed. */
const RUNNER_SILENCE_MS = 60_000

export function decideReport(draft: Draft, command: ReportCommand, now: Date, rules: Rules): void {
  switch (command.type) {
    case 'phase.start':
    case 'phase.log':
    case 'phase.fail':
    case 'phase.complete':
    case 'phase.withdraw':
    case 'repository.prepared':
      if (isCurrentPreparation(draft.state, command.generation))
        decidePreparation(draft, command, now)
      return
    case 'sandbox.started':
      decideStarted(draft, command, now)
      return
    case 'sandbox.stopped':
      decideStopped(draft, command)
      return
    case 'sandbox.watched':
      decideWatched(draft, command, now, rules)
      return
    case 'sandbox.lost':
      decideLost(draft, command, now)
      return
    case 'push.accepted':
      takePush(draft, command)
      return
    case 'push.forward-fail':
      keepTrying(draft, command, now)
      return
    case 'push.refused':
    case 'push.forwarded':
    case 'egress.denied':
    case 'model.used':
    case 'model.failed':
      draft.emit('seen', command)
      return
    case 'changes.measured':
      if (measuresNews(draft.state, command)) draft.emit('seen', command)
      return
    case 'session.admit':
      admit(draft)
      return
    case 'clock.tick':
      decideTick(draft, now, rules)
      return
  }
}

type Preparation = Extract<
  ReportCommand,
  {
    type:
      | 'phase.start'
      | 'phase.log'
      | 'phase.fail'
      | 'phase.complete'
      | 'phase.withdraw'
      | 'repository.prepared'
  }
>

function decidePreparation(draft: Draft, command: Preparation, now: Date): void {
  const { generation } = command
  switch (command.type) {
    case 'phase.start':
      // Begun by a worker that another one has taken over from.
      if (phaseOf(draft.state, command.phase)) return
      draft.emit('system', { type: 'phase.started', phase: command.phase, generation })
      return
    case 'phase.log':
      draft.emit('system', {
        type: 'phase.logged',
        phase: command.phase,
        generation,
        lines: command.lines,
      })
      return
    case 'phase.fail': {
      const { phase, reason, message } = command
      failPreparation(draft, 'system', {
        phase,
        durationMs: ranFor(draft.state, phase, now),
        reason,
        message,
      })
      return
    }
    case 'phase.complete':
      if (phaseOf(draft.state, command.phase)?.state === 'running')
        completePhase(draft, command.phase, now)
      return
    case 'phase.withdraw':
      withdrawPhases(draft)
      return
    case 'repository.prepared': {
      const { branch, commit, baseBranch, environmentFile, additional = [] } = command
      // Found twice by a worker that took over: the branch may have moved on meanwhile.
      if (draft.state.repository.commit !== null) return
      // Before the commit is known: the runner is told all of its work at once.
      if (environmentFile) {
        const read = readEnvironmentFile(environmentFile, draft.state.environment)
        draft.emit('seen', { type: 'environment.read', ...read })
      }
      for (const one of additional) draft.emit('seen', { type: 'repository.resolved', ...one })
      draft.emit('seen', { type: 'repository.resolved', branch, commit, baseBranch })
      completePhase(draft, 'fetch', now)
      return
    }
  }
}

/** Its runner may have been ready before that could be told, as while the database was away. */
function decideStarted(
  draft: Draft,
  { generation, isolation }: Extract<ReportCommand, { type: 'sandbox.started' }>,
  now: Date,
): void {
  const { sandbox } = draft.state
  const isReady = sandbox.state === 'ready' && sandbox.generation === generation
  if (!isReady && !isCurrentPreparation(draft.state, generation)) return
  if (phaseOf(draft.state, 'sandbox')?.state === 'completed') return
  draft.emit('system', { type: 'sandbox.isolated', isolation })
  completePhase(draft, 'sandbox', now)
}

/** Those of the sandbox: the fetch goes on. */
function withdrawPhases(draft: Draft): void {
  const { generation, phases } = draft.state.sandbox
  for (const { name: phase } of phases)
    if (phase === 'environment' || phase === 'sandbox')
      draft.emit('system', { type: 'phase.withdrawn', phase, generation })
}

function decideStopped(
  draft: Draft,
  command: Extract<ReportCommand, { type: 'sandbox.stopped' }>,
): void {
  const { sandbox } = draft.state
  if (sandbox.generation !== command.generation) return
  if (sandbox.state !== 'preparing' && sandbox.state !== 'ready') return
  draft.emit('system', {
    type: 'sandbox.stopped',
    generation: command.generation,
    why: command.why,
  })
  if (draft.state.status !== 'archived') resumeTurn(draft)
}

/** A turn that came while the sandbox was being stopped gets a new one; queued messages wait for the user. */
function resumeTurn(draft: Draft): void {
  if (draft.state.turn) advance(draft)
}

function decideLost(
  draft: Draft,
  command: Extract<ReportCommand, { type: 'sandbox.lost' }>,
  now: Date,
): void {
  const { sandbox } = draft.state
  if (sandbox.generation !== command.generation) return
  const wasPreparing = sandbox.state === 'preparing'
  // What killed it may come back: a second loss in a row waits for a person.
  if (wasPreparing && sandbox.isReplacement) {
    const phase = sandbox.phases.at(-1)?.name ?? 'sandbox'
    const { reason, message } = command
    failPreparation(draft, 'system', {
      phase,
      durationMs: ranFor(draft.state, phase, now),
      reason,
      message,
    })
    return
  }
  const hadWork = wasPreparing || sandbox.state === 'ready'
  // One that was stopped can be lost as well: its files are gone. No work was on in it.
  if (!hadWork && sandbox.state !== 'stopped') return
  const { generation, reason, message } = command
  draft.emit('system', { type: 'sandbox.lost', generation, reason, message })
  closeQuestions(draft)
  if (wasPreparing) draft.cancel('sandbox')
  if (hadWork) resumeTurn(draft)
}

/** Who asked is gone with the sandbox; an agent that goes on asks again. */
function closeQuestions(draft: Draft): void {
  const { questions, answers } = draft.state
  for (const questionId of [...questions.map(({ id }) => id), ...Object.keys(answers)])
    draft.emit('system', { type: 'question.closed', questionId })
}

function decideTick(draft: Draft, now: Date, rules: Rules): void {
  const { state } = draft
  const due = nextDeadline(state, rules)
  if (!due || due.at.getTime() > now.getTime()) return
  const { generation } = state.sandbox
  switch (due.why) {
    case 'phase': {
      const { name } = due.phase
      const seconds = Math.round(PHASE_LIMITS_MS[name] / 1000)
      const message =
        `The phase "${name}" took longer than ${seconds} s. ${due.phase.log.slice(-3).join('\n')}`.trim()
      failPreparation(draft, 'system', {
        phase: name,
        durationMs: PHASE_LIMITS_MS[name],
        reason: 'phase_timeout',
        message,
      })
      return
    }
    case 'silence': {
      const message = 'The sandbox was started, but its runner has not reported within a minute.'
      failPreparation(draft, 'system', {
        phase: 'sandbox',
        durationMs: RUNNER_SILENCE_MS,
        reason: 'runner_silent',
        message,
      })
      return
    }
    case 'idle':
      draft.request({ kind: 'sandbox.watch', generation })
      return
  }
}

/** What has happened while it was watched counts the time anew by itself. */
function decideWatched(
  draft: Draft,
  { generation, isWorking }: Extract<ReportCommand, { type: 'sandbox.watched' }>,
  now: Date,
  rules: Rules,
): void {
  const { sandbox } = draft.state
  const due = nextDeadline(draft.state, rules)
  if (sandbox.generation !== generation || due?.why !== 'idle' || due.at > now) return
  const busyMs = sandbox.busySince === null ? 0 : now.getTime() - Date.parse(sandbox.busySince)
  if (isWorking && busyMs < rules.mostBusyMs)
    draft.emit('seen', { type: 'sandbox.busy', generation })
  else draft.request({ kind: 'sandbox.stop', generation, why: 'idle' })
}

type Deadline = { at: Date; why: 'phase'; phase: Phase } | { at: Date; why: 'silence' | 'idle' }

/** When the clock has to look at the session next; undefined when never. */
export function nextDeadline(state: SessionState, rules: Rules): Deadline | undefined {
  const { sandbox } = state
  if (sandbox.state === 'preparing') return preparationDeadline(sandbox.phases)
  if (sandbox.state === 'ready' && !state.turn && rules.idleStopMs !== Number.POSITIVE_INFINITY)
    return { at: after(state.updatedAt, rules.idleStopMs), why: 'idle' }
  return undefined
}

function preparationDeadline(phases: readonly Phase[]): Deadline | undefined {
  const limits = phases
    .filter(({ state }) => state === 'running')
    .map((phase) => ({
      at: after(phase.startedAt, PHASE_LIMITS_MS[phase.name]),
      why: 'phase' as const,
      phase,
    }))
    .sort((a, b) => a.at.getTime() - b.at.getTime())
  if (limits[0]) return limits[0]
  // Before the sandbox is there nobody has to say anything.
  if (!phases.some(({ name }) => name === 'sandbox')) return undefined
  const ends = phases.map(({ startedAt, durationMs }) =>
    after(startedAt, durationMs ?? 0).getTime(),
  )
  return { at: new Date(Math.max(...ends) + RUNNER_SILENCE_MS), why: 'silence' }
}

function after(at: string, ms: number): Date {
  return new Date(Date.parse(at) + ms)
}

function completePhase(draft: Draft, phase: Phase['name'], now: Date): void {
  const { generation } = draft.state.sandbox
  const durationMs = ranFor(draft.state, phase, now)
  draft.emit('system', { type: 'phase.completed', phase, generation, durationMs })
}

function phaseOf(state: SessionState, name: Phase['name']): Phase | undefined {
  return state.sandbox.phases.find((phase) => phase.name === name)
}

function ranFor(state: SessionState, name: Phase['name'], now: Date): number {
  const phase = phaseOf(state, name)
  return phase ? now.getTime() - Date.parse(phase.startedAt) : 0
}

function isCurrentPreparation(state: SessionState, generation: number): boolean {
  return state.sandbox.state === 'preparing' && state.sandbox.generation === generation
}

function measuresNews(
  state: SessionState,
  measured: Extract<ReportCommand, { type: 'changes.measured' }>,
): boolean {
  const { repository } = measured
  const place =
    repository === undefined ? state : state.additional.find(({ name }) => name === repository)
  if (!place) return false
  const { changes } = place
  if (!changes) return measured.filesChanged > 0
  return changes.commit !== measured.commit || changes.filesChanged !== measured.filesChanged
}
