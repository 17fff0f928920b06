// The sessions of the golden data: one for each status, made by the rules as they are, with every type of event among
// them. Ids and times are always the same.
import type { ReportCommand, UserCommand } from '../../src/protocol/command.ts'
import { type Environment, environmentSchema } from '../../src/protocol/environment.ts'
import { createId, type IdKind } from '../../src/protocol/ids.ts'
import type { RunnerReport } from '../../src/protocol/runner-frames.ts'
import type { Repository, SessionState } from '../../src/protocol/session.ts'
import type { Dispatch } from '../../src/sessions/dispatch.ts'
import { createFirstDraft } from '../../src/sessions/rules/draft.ts'
import type { Store } from '../../src/store/store.ts'

/** What there is of git for the sessions. */
export interface GoldenRepository {
  source: Repository['source']
  commit: string
  /** On the session's branch. */
  pushed: string
}

export interface GoldenWorld {
  store: Store
  dispatch: Dispatch
  ownerId: string
  repository: GoldenRepository
}

export const goldenId = (kind: IdKind, n: number) => createId(kind, new Uint8Array(20).fill(n))
export const branchOf = (n: number) => `errand/golden-${n}`

const STRANGE = 'nul \u0000, half a pair \ud800, marks \u202e\u001b[2J, \u{1f9fe} and "quotes"\n'
const NOTHING_USED = { cacheReadTokens: 0, cacheCreationTokens: 0 }

export async function makeGoldenSessions(world: GoldenWorld): Promise<void> {
  await makeQueued(world, 1)
  await makePreparing(world, 2)
  await makeWorking(world, 3)
  await makeWaiting(world, 4)
  await makeIdle(world, 5)
  await makeFailed(world, 6)
  await makeArchived(world, 7)
  await makeUnreachable(world, 8)
}

function fieldsOf({ ownerId, repository }: GoldenWorld, n: number) {
  const environment: Environment = environmentSchema.parse({
    id: goldenId('environment', 1),
    name: 'Golden',
    network: { level: 'custom', domains: ['*.example.com'], includeTrusted: true },
    variables: { GREETING: 'hello' },
  })
  return {
    ownerId,
    title: `Golden ${n}`,
    repository: {
      source: repository.source,
      name: 'cart',
      url: 'https://git.example/cart.git',
      baseBranch: null,
      commit: null,
      branch: branchOf(n),
    },
    environment,
    driver: 'oci',
    mode: 'work' as const,
    model: null,
  }
}

interface Play {
  id: string
  turn: (n: number) => string
  act(
    ...commands: (Exclude<UserCommand, { type: 'session.create' }> | ReportCommand)[]
  ): Promise<void>
  claim(...reports: RunnerReport[]): Promise<void>
  state(): Promise<SessionState | undefined>
}

async function play(world: GoldenWorld, n: number): Promise<Play> {
  const { dispatch, store } = world
  const id = goldenId('session', n)
  const turn = (at: number) => goldenId('turn', n * 4 + at - 4)
  const text = n === 3 ? STRANGE : 'make the failing test pass'
  const first = { turnId: turn(1), kind: 'agent' as const, text }
  await dispatch.create(id, { type: 'session.create', ...fieldsOf(world, n), ...first })
  let reported = 0
  return {
    id,
    turn,
    act: async (...commands) => {
      for (const command of commands) {
        const counted = command.type === 'model.used' ? { reportId: command.requestId } : {}
        await dispatch.command(id, command, counted)
      }
    },
    claim: async (...reports) => {
      for (const report of reports) await dispatch.reports(id, [{ n: ++reported, report }])
    },
    state: () => store.sessions.get(id),
  }
}

async function makeQueued({ store, ...world }: GoldenWorld, n: number): Promise<void> {
  const id = goldenId('session', n)
  const created = { type: 'session.created' as const, ...fieldsOf({ store, ...world }, n) }
  await store.change(id, ({ now }) => {
    const { draft, first } = createFirstDraft(id, created, { now, hasSlot: true })
    const turnId = goldenId('turn', n * 4 - 3)
    draft.emit('user', { type: 'message.queued', turnId, kind: 'agent', text: 'wait for a place' })
    const { events, state } = draft.finish()
    return { events: [first, ...events], state }
  })
}

async function makePreparing(world: GoldenWorld, n: number): Promise<void> {
  const { act } = await play(world, n)
  await act(
    { type: 'phase.start', phase: 'fetch', generation: 1 },
    { type: 'phase.log', phase: 'fetch', generation: 1, lines: ['Receiving objects: 42%', ''] },
  )
}

async function prepare({ act, claim }: Play, { repository }: GoldenWorld, generation = 1) {
  if (generation === 1)
    await act(
      { type: 'phase.start', phase: 'fetch', generation },
      { type: 'repository.prepared', generation, commit: repository.commit, baseBranch: 'main' },
    )
  await act(
    { type: 'phase.start', phase: 'sandbox', generation },
    { type: 'sandbox.started', generation, isolation: 'container: runc, 4 GiB, 2 CPUs' },
  )
  for (const phase of ['checkout', 'environment', 'agent'] as const)
    await claim(
      { type: 'phase.started', phase, generation },
      { type: 'phase.logged', phase, generation, lines: [`${phase} begins`] },
      { type: 'phase.completed', phase, generation, durationMs: 120 },
    )
  await claim({ type: 'runner.ready', generation })
}

async function makeWorking(world: GoldenWorld, n: number): Promise<void> {
  const game = await play(world, n)
  await prepare(game, world)
  const turnId = game.turn(1)
  await game.claim(
    { type: 'turn.accepted', turnId },
    { type: 'assistant.thinking', turnId, uuid: 'u-1', text: 'What fails?' },
    { type: 'assistant.text', turnId, uuid: 'u-2', text: STRANGE },
    {
      ...{ type: 'tool.called', turnId, uuid: 'u-3', toolUseId: 'tool-1', name: 'Bash' },
      ...{
        input: { command: 'npm test', nested: [1, null, { a: STRANGE }] },
        parentToolUseId: null,
      },
    },
    {
      ...{ type: 'tool.returned', turnId, uuid: 'u-4', toolUseId: 'tool-1', output: STRANGE },
      ...{ isError: true, truncated: true },
    },
    { type: 'agent.notice', turnId, kind: 'compacted', text: 'The conversation was made shorter.' },
  )
  await game.act(
    { type: 'egress.denied', host: 'blocked.example', port: 443, reason: 'host_not_allowed' },
    {
      ...{ type: 'model.used', requestId: 'r-1', model: 'claude-x', inputTokens: 1200 },
      ...{ outputTokens: 80, ...NOTHING_USED, costUsd: 0.0123, durationMs: 900 },
    },
    {
      ...{ type: 'model.used', requestId: 'r-2', model: 'unknown', inputTokens: 10 },
      ...{ outputTokens: 5, ...NOTHING_USED, costUsd: null, durationMs: 100 },
    },
    { type: 'model.failed', requestId: 'r-3', status: 529, reason: 'overloaded', message: 'busy' },
    { type: 'turn.submit', turnId: game.turn(2), kind: 'agent', text: 'and then this' },
    { type: 'turn.submit', turnId: game.turn(3), kind: 'agent', text: 'or not' },
    { type: 'message.withdraw', turnId: game.turn(3) },
    { type: 'turn.interrupt' },
  )
}

function questionOf(game: Play, id: string, askedAt: string) {
  const option = (label: string) => ({ label, description: `${label} it is` })
  return {
    ...{ id, turnId: game.turn(1), kind: 'question' as const, title: 'Which sign?', detail: '' },
    askedAt,
    items: [
      {
        ...{ question: 'Which currency sign?', header: 'Sign', multiSelect: false },
        options: [option('€'), option('$')],
      },
    ],
  }
}

async function makeWaiting(world: GoldenWorld, n: number): Promise<void> {
  const game = await play(world, n)
  await prepare(game, world)
  const askedAt = '2026-01-01T00:10:00.000Z'
  const answer = { allow: true, answers: { 'Which currency sign?': '€' }, message: '' }
  await game.claim({ type: 'question.asked', question: questionOf(game, 'q-1', askedAt) })
  await game.act({ type: 'question.answer', questionId: 'q-1', answer })
  const plan = {
    ...questionOf(game, 'q-2', askedAt),
    kind: 'plan' as const,
    items: [],
    detail: '# Plan',
  }
  await game.claim(
    { type: 'question.closed', questionId: 'q-1' },
    { type: 'question.asked', question: plan },
  )
  await game.act({ type: 'mode.set', mode: 'plan' }, { type: 'model.set', model: 'claude-x' })
}

async function makeIdle(world: GoldenWorld, n: number): Promise<void> {
  const { repository } = world
  const game = await play(world, n)
  await prepare(game, world)
  const ref = `refs/heads/${branchOf(n)}`
  await game.act(
    {
      type: 'push.refused',
      ref: 'refs/heads/main',
      reason: 'ref_not_allowed',
      message: 'not yours',
    },
    { type: 'push.accepted', ref, commit: repository.pushed, outward: 'kept', message: 'is down' },
    { type: 'push.forwarded', commit: repository.pushed },
  )
  await game.claim({
    type: 'turn.completed',
    turnId: game.turn(1),
    exitCode: null,
    durationMs: 4200,
  })
  await game.act(
    {
      ...{ type: 'changes.measured', commit: repository.pushed },
      ...{ filesChanged: 1, insertions: 1, deletions: 0 },
    },
    { type: 'turn.submit', turnId: game.turn(2), kind: 'command', text: 'false' },
  )
  const turnId = game.turn(2)
  await game.claim(
    { type: 'command.output', turnId, text: STRANGE },
    { type: 'turn.completed', turnId, exitCode: 1, durationMs: 12 },
  )
  await game.act(
    { type: 'session.rename', title: 'Golden 5, renamed' },
    { type: 'sandbox.stopped', generation: 1, why: 'idle' },
  )
}

async function makeFailed(world: GoldenWorld, n: number): Promise<void> {
  const game = await play(world, n)
  await prepare(game, world)
  const message = 'The model refused the request.'
  await game.claim({ type: 'turn.failed', turnId: game.turn(1), reason: 'model_refused', message })
}

async function makeArchived(world: GoldenWorld, n: number): Promise<void> {
  const game = await play(world, n)
  await prepare(game, world)
  await game.claim({ type: 'turn.interrupted', turnId: game.turn(1) })
  const lost = { reason: 'sandbox_ended', message: 'The sandbox is gone.' }
  await game.act(
    { type: 'sandbox.lost', generation: 1, ...lost },
    { type: 'session.archive' },
    { type: 'session.unarchive' },
    { type: 'session.archive' },
  )
}

async function makeUnreachable(world: GoldenWorld, n: number): Promise<void> {
  const { act } = await play(world, n)
  const message = 'No such repository.'
  await act(
    { type: 'phase.start', phase: 'fetch', generation: 1 },
    {
      ...{ type: 'phase.fail', phase: 'fetch', generation: 1 },
      reason: 'repository_not_found',
      message,
    },
  )
}
