// Sessions with several repositories: how they are named, fetched and followed. Each has facts of its own.
import { describe, expect, it } from 'vitest'
import { applyEvent, emptyView } from '../../protocol/apply-event.ts'
import type { Command } from '../../protocol/command.ts'
import { AppError } from '../../protocol/errors.ts'
import type { SessionEvent } from '../../protocol/event.ts'
import { doorUrl, repositoryAtDoor } from '../../protocol/git-door.ts'
import type { AdditionalRepository } from '../../protocol/session.ts'
import { fetchAll } from '../fetch-all.ts'
import { exampleId, exampleSession } from '../starting/new-session.fixture.ts'
import { nameAdditional } from '../starting/repository-names.ts'
import { decide, decideCreate } from './decide.ts'
import { type Decision, isRefusal } from './draft.ts'

const ID = exampleId('session', 1)
const MOMENT = { now: new Date('2026-01-01T00:00:00Z'), hasSlot: true }

const additional = (name: string, access: 'read' | 'write'): AdditionalRepository => {
  const url = `https://git.example/${name}.git`
  const source = { kind: 'remote' as const, url, credentialId: null }
  return { source, name, url, baseBranch: null, commit: null, branch: 'errand/fix', access }
}

function begin() {
  const repositories = [additional('lib', 'write'), additional('docs', 'read')]
  const log: SessionEvent[] = []
  const keep = (decision: Decision) => {
    for (const { source, body } of decision.events)
      log.push({ sessionId: ID, seq: log.length + 1, at: MOMENT.now.toISOString(), source, body })
    return decision
  }
  let last = keep(decideCreate(ID, { ...exampleSession(1), additional: repositories }, MOMENT))
  return {
    view: () => log.reduce(applyEvent, emptyView),
    get state() {
      return last.state
    },
    do(command: Command) {
      const outcome = decide(last.state, command, MOMENT)
      if (isRefusal(outcome)) throw new Error(outcome.refused.reason)
      last = keep(outcome)
      return last
    },
  }
}

const push = (repository: string | undefined, outward: 'kept' | 'forwarded') =>
  ({
    type: 'push.accepted',
    repository,
    ref: 'refs/heads/errand/fix',
    commit: 'c',
    outward,
    message: '',
  }) as const

describe('the repositories of a session', () => {
  it('are known at the same moment, each with its commit', () => {
    const game = begin()
    game.do({ type: 'phase.start', phase: 'fetch', generation: 1 })
    const others = [
      { repository: 'lib', commit: 'c1', baseBranch: 'main' },
      { repository: 'docs', commit: 'd1', baseBranch: 'trunk' },
    ]
    const prepared = { generation: 1, commit: 'a1', baseBranch: 'main', additional: others }
    game.do({ type: 'repository.prepared', ...prepared })
    expect(game.state.repository).toMatchObject({ commit: 'a1' })
    expect(game.state.additional).toMatchObject([
      { name: 'lib', commit: 'c1', changes: null, outward: { state: 'none' } },
      { name: 'docs', commit: 'd1', baseBranch: 'trunk' },
    ])
    expect(game.view().session).toEqual(game.state)
  })

  it('wait for their hosts beside each other: a push of one takes nothing of what waits for another', () => {
    const game = begin()
    expect(game.do(push('lib', 'kept'))).toMatchObject({
      cancels: ['outward lib'],
      effects: [
        { kind: 'changes.measure', repository: 'lib' },
        { kind: 'push.forward', repository: 'lib', attempt: 0 },
      ],
    })
    expect(game.do(push(undefined, 'forwarded')).cancels).toEqual(['outward'])
    expect(game.state.outward.state).toBe('forwarded')
    expect(game.state.additional[0]?.outward.state).toBe('kept')
    const failed = { attempt: 0, passes: true, reason: 'r', message: 'down' }
    const { effects } = game.do({ type: 'push.forward-fail', repository: 'lib', ...failed })
    expect(effects).toMatchObject([{ kind: 'push.forward', repository: 'lib', attempt: 1 }])
    const items = game.view().timeline.flatMap((item) => (item.kind === 'push' ? [item] : []))
    expect(items).toMatchObject([
      { repository: 'lib', outward: 'kept', text: 'down' },
      { repository: null, outward: 'forwarded', text: '' },
    ])
    expect(game.do({ type: 'push.retry' })).toMatchObject({
      cancels: ['outward lib'],
      effects: [{ kind: 'push.forward', repository: 'lib', attempt: 0 }],
    })
    game.do({ type: 'push.forwarded', repository: 'lib', commit: 'c' })
    expect(() => game.do({ type: 'push.retry' })).toThrow('nothing_kept')
  })

  it('are measured after a turn where the session has a branch', () => {
    const game = begin()
    const report = { type: 'turn.interrupted', turnId: exampleId('turn', 1) } as const
    const { effects } = game.do({ type: 'runner.report', report })
    expect(effects).toEqual([
      { kind: 'changes.measure' },
      { kind: 'changes.measure', repository: 'lib' },
    ])
    const counts = { commit: 'c', filesChanged: 1, insertions: 2, deletions: 3 }
    game.do({ type: 'changes.measured', repository: 'lib', ...counts })
    expect(game.state.additional[0]?.changes).toEqual(counts)
    expect(game.state.changes).toBeNull()
    expect(game.do({ type: 'changes.measured', repository: 'none', ...counts }).events).toEqual([])
  })

  it('are told apart by the path of the door', () => {
    const { state } = begin()
    const at = (path: string) => repositoryAtDoor(state, path)?.name
    expect(at('/git/repository.git/info/refs?service=git-upload-pack')).toBe('r')
    expect(at('/git/lib.git/git-receive-pack')).toBe('lib')
    expect(new URL(doorUrl('lib')).pathname).toBe('/git/lib.git')
    for (const path of ['/git/r.git/info/refs', '/git/lib/info/refs', '/git/other.git/info/refs'])
      expect(at(path)).toBeUndefined()
  })
})

describe('fetching them', () => {
  const prepare = (failing: Record<string, AppError>, asked: string[] = []) => ({
    prepare: async (
      { repository }: { repository: { name: string } },
      _signal: AbortSignal,
      onLine: (line: string) => void,
    ) => {
      asked.push(repository.name)
      onLine('hello')
      const failure = failing[repository.name]
      if (failure) throw failure
      return { commit: `${repository.name}1`, baseBranch: 'main', environmentFile: null }
    },
  })
  const run = (repositories: ReturnType<typeof prepare>, lines: string[] = []) =>
    fetchAll(repositories, {
      state: begin().state,
      signal: new AbortController().signal,
      onLine: (line) => lines.push(line),
    })

  it('asks for all, and says which one a line is about', async () => {
    const lines: string[] = []
    const fetched = await run(prepare({}), lines)
    expect(fetched).toMatchObject({
      commit: 'r1',
      additional: [
        { repository: 'lib', commit: 'lib1' },
        { repository: 'docs', commit: 'docs1' },
      ],
    })
    expect(lines).toEqual(['r: hello', 'lib: hello', 'docs: hello'])
  })

  it('names all that failed', async () => {
    const asked: string[] = []
    const failing = {
      lib: new AppError('not_found', 'repository_not_found', 'There is none.'),
      docs: new AppError('unavailable', 'upstream_unreachable', 'No answer.'),
    }
    await expect(run(prepare(failing, asked))).rejects.toMatchObject({
      reason: 'repository_not_found',
      message: 'lib: There is none.\ndocs: No answer.',
    })
    expect(asked).toEqual(['r', 'lib', 'docs'])
  })
})

describe('the name of an additional repository', () => {
  it('is plain, and another one than every other of the session', () => {
    const others = [{ name: 'shop' }, { name: 'Api' }, { name: 'api-2' }]
    const named = ['lib', 'shop', 'api', 'repository', '../..', 'ä b', '.git', ''].map((wish) =>
      nameAdditional(wish, others),
    )
    expect(named).toEqual([
      ...['lib', 'shop-2', 'api-3', 'repository-2', 'repository-2'],
      ...['b', 'git', 'repository-2'],
    ])
    expect(nameAdditional('x'.repeat(300), others)).toHaveLength(90)
  })
})
