import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { RunnerReport } from '../../protocol/runner-frames.ts'
import { failOnDisk } from '../state-file.fixture.ts'
import { openStateFile, type StateFile } from '../state-file.ts'
import type { TurnContext, TurnEnd } from './turn-end.ts'
import { createTurns, endedTurns } from './turns.ts'

const wantedTurn = (id: string, interrupt = false) =>
  ({ id, kind: 'agent', text: `text of ${id}`, interrupt }) as const

let folder: string
let state: StateFile
let reports: RunnerReport[]
let runs: { id: string; context: TurnContext; end: (end: TurnEnd) => void }[]

const create = (ended: string[] = []) => {
  const run = (turn: { id: string }, context: TurnContext) => {
    state.set({ turn: { id: turn.id, before: null } })
    return new Promise<TurnEnd>((resolve) => {
      runs.push({ id: turn.id, context, end: resolve })
      context.interrupted.addEventListener('abort', () => resolve({ kind: 'interrupted' }))
      context.stopped.addEventListener('abort', () => resolve({ kind: 'interrupted' }))
    })
  }
  const report = (item: RunnerReport) => reports.push(item)
  return createTurns({ report, state, ended, run: { agent: run, command: run } })
}
const types = () => reports.map(({ type }) => type)
const finish = async (index: number, end: TurnEnd = { kind: 'completed', exitCode: null }) => {
  const count = reports.length
  runs[index]?.end(end)
  await expect.poll(() => reports.length).toBeGreaterThan(count)
}

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'errand-turns-'))
  state = openStateFile(join(folder, 'state.json'), failOnDisk)
  reports = []
  runs = []
})
afterEach(() => rm(folder, { recursive: true }))

describe('createTurns', () => {
  it('runs a turn once, however often it is wanted, also after its end', async () => {
    const turns = create()
    for (let i = 0; i < 3; i++) turns.reconcile(wantedTurn('t1'))
    await finish(0)
    for (let i = 0; i < 3; i++) turns.reconcile(wantedTurn('t1'))
    expect(runs.length).toBe(1)
    expect(types()).toEqual(['turn.accepted', 'turn.completed'])
  })

  it('does not run a turn whose end waits in the journal', () => {
    const end: RunnerReport = { type: 'turn.interrupted', turnId: 't1' }
    create(endedTurns([end])).reconcile(wantedTurn('t1'))
    expect(runs).toEqual([])
  })

  it('goes on with the next turn', async () => {
    const turns = create()
    turns.reconcile(wantedTurn('t1'))
    await finish(0, { kind: 'failed', reason: 'r', message: 'm' })
    turns.reconcile(wantedTurn('t2'))
    await finish(1)
    expect(types()).toEqual(['turn.accepted', 'turn.failed', 'turn.accepted', 'turn.completed'])
  })

  it('interrupts when asked to, when the turn is withdrawn and when another takes its place', async () => {
    const turns = create()
    turns.reconcile(wantedTurn('t1'))
    turns.reconcile(wantedTurn('t1', true))
    await expect.poll(types).toEqual(['turn.accepted', 'turn.interrupted'])
    turns.reconcile(wantedTurn('t2'))
    turns.reconcile(null)
    await expect.poll(() => reports.at(-1)).toEqual({ type: 'turn.interrupted', turnId: 't2' })
    turns.reconcile(wantedTurn('t3'))
    turns.reconcile(wantedTurn('t4'))
    await expect.poll(() => runs.at(-1)?.id).toBe('t4')
  })

  it('ends a turn that was interrupted before it began, without running it', async () => {
    create().reconcile(wantedTurn('t1', true))
    await expect.poll(types).toEqual(['turn.accepted', 'turn.interrupted'])
    expect(runs).toEqual([])
  })

  it('reports no end when the runner stops, and takes the turn up again', async () => {
    const turns = create()
    turns.reconcile(wantedTurn('t1'))
    await turns.stop()
    expect(types()).toEqual(['turn.accepted'])
    create().reconcile(wantedTurn('t1'))
    expect(runs[1]?.context.isResumed).toBe(true)
    await finish(1)
    expect(types()).toEqual(['turn.accepted', 'turn.accepted', 'turn.completed'])
  })

  it('takes no turn for a new one whose end was lost before it was told', async () => {
    create().reconcile(wantedTurn('t1'))
    await finish(0)
    // As after a death: the end is not in the journal, and the disk holds what the state was like then.
    state = openStateFile(join(folder, 'state.json'), failOnDisk)
    create().reconcile(wantedTurn('t1'))
    expect(runs[1]?.context.isResumed).toBe(true)
  })

  it('ends a turn whose work throws', async () => {
    const run = () => Promise.reject(new Error('broken'))
    const report = (item: RunnerReport) => reports.push(item)
    createTurns({ report, state, ended: [], run: { agent: run, command: run } }).reconcile(
      wantedTurn('t1'),
    )
    await expect.poll(() => reports[1]).toMatchObject({ type: 'turn.failed', message: 'broken' })
  })
})
