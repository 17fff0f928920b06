// The main job and everyday work on it: real Claude Code, runc, git and PostgreSQL; only the model plays a scenario.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createSampleRepository } from '../../demo/repository.ts'
import { runChecked } from '../../src/lib/process.ts'
import { applyEvent, emptyView } from '../../src/protocol/apply-event.ts'
import type { SessionEvent } from '../../src/protocol/event.ts'
import { eventsOf, type Installation, startInstallation } from './installation.ts'
import { gitEnvironment } from './upload.ts'

let errand: Installation
let folder: string
let repository: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'errand-walk-'))
  repository = join(folder, 'cart')
  await createSampleRepository(repository)
  errand = await startInstallation()
})
afterAll(async () => {
  await errand.stop()
  await rm(folder, { recursive: true, force: true })
})

const toolResults = (events: SessionEvent[]) => {
  const calls = eventsOf(events, 'tool.called')
  return eventsOf(events, 'tool.returned').map((result) => ({
    name: calls.find((call) => call.toolUseId === result.toolUseId)?.name,
    input: calls.find((call) => call.toolUseId === result.toolUseId)?.input as Record<
      string,
      string
    >,
    output: result.output,
    isError: result.isError,
  }))
}

describe('a task', () => {
  it('becomes a branch with a commit and a diff', async () => {
    const { id } = await errand.start(repository, 'make the failing test pass')
    const events = await errand.finish(id)
    expect(eventsOf(events, 'turn.completed')).toHaveLength(1)
    const phases = eventsOf(events, 'phase.completed').map(({ phase }) => phase)
    expect(phases.slice(0, 2).sort()).toEqual(['fetch', 'sandbox'])
    expect(phases.slice(2)).toEqual(['checkout', 'agent'])
    await errand.follow(id, ({ body }) => body.type === 'changes.measured')
    const state = await errand.client.getSession(id)
    expect(state).toMatchObject({
      status: 'idle',
      changes: { filesChanged: 1, insertions: 1, deletions: 1 },
    })
    const diff = await errand.client.getDiff(id)
    expect(diff.patch).toContain('+  if (quantity >= DISCOUNT_FROM) {')
    expect(diff.commits[0]?.subject).toBe('Give the discount from exactly three pieces on')
    await runChecked(
      'git',
      [
        '-C',
        repository,
        'fetch',
        '--quiet',
        `${errand.url}/api/v1/git/sessions/${id}`,
        state.repository.branch,
      ],
      { env: gitEnvironment(errand.token) },
    )
    const fetched = await runChecked('git', ['-C', repository, 'rev-parse', 'FETCH_HEAD'])
    expect(fetched.trim()).toBe(diff.head)
  })

  it('counts at the gateway what the model server has answered', async () => {
    const { id } = await errand.start(repository, 'make the failing test pass')
    const before = errand.model.requests.length
    await errand.finish(id)
    const answered = errand.model.requests.slice(before).flatMap(({ usage }) => usage ?? [])
    const total = answered.reduce((sum, usage) => sum + usage.output_tokens, 0)
    let counted = 0
    await errand.follow(id, ({ body }) => {
      if (body.type === 'model.used') counted += body.outputTokens
      return counted >= total
    })
    expect((await errand.client.getSession(id)).usage).toMatchObject({
      outputTokens: total,
      requests: answered.length,
    })
  })

  it('has the same state by its events alone', async () => {
    const { id } = await errand.start(repository, 'make the failing test pass')
    await errand.finish(id)
    const state = await errand.client.getSession(id)
    const { events } = await errand.client.readEvents(id, { limit: 1000 })
    expect(
      events.filter(({ seq }) => seq <= state.lastSeq).reduce(applyEvent, emptyView).session,
    ).toEqual(state)
  })

  it('fixes a bug test-first: a failing test, then the edit, then the test passes', async () => {
    const { id } = await errand.start(repository, 'fix the bug test-first')
    const events = await errand.finish(id)
    expect(eventsOf(events, 'turn.completed')).toHaveLength(1)
    const results = toolResults(events)
    const runs = results.flatMap((result, index) =>
      result.name === 'Bash' && /node --test/.test(result.input.command ?? '') ? [index] : [],
    )
    const failed = runs.find((index) => /# fail [1-9]/.test(results[index]?.output ?? ''))
    const passed = runs.findLast((index) => /# fail 0/.test(results[index]?.output ?? ''))
    const written = results.findIndex(({ input }) => /> test\//.test(input.command ?? ''))
    const edited = results.findLastIndex(
      ({ name, input }) => name === 'Edit' && /src\//.test(input.file_path ?? ''),
    )
    expect(written).toBeGreaterThanOrEqual(0)
    expect(failed).toBeGreaterThan(written)
    expect(edited).toBeGreaterThan(failed as number)
    expect(passed).toBeGreaterThan(edited)
  })

  it('answers a question without a branch, a commit or a push', async () => {
    const { id } = await errand.start(repository, 'how does the discount work?')
    const events = await errand.finish(id)
    expect(eventsOf(events, 'assistant.text').length).toBeGreaterThan(0)
    expect(eventsOf(events, 'push.accepted')).toEqual([])
    const state = await errand.client.getSession(id)
    expect(state).toMatchObject({
      status: 'idle',
      changes: null,
      lastTurn: { outcome: 'completed' },
    })
    const refs = await runChecked('git', ['ls-remote', `${errand.url}/api/v1/git/sessions/${id}`], {
      env: gitEnvironment(errand.token),
    })
    expect(refs).not.toContain('refs/heads/errand/')
  })

  it('waits for the answer to a question of the agent and goes on with it', async () => {
    const { id } = await errand.start(repository, 'add a currency sign')
    const asked = await errand.follow(id, ({ body }) => body.type === 'question.asked')
    const question = eventsOf(asked, 'question.asked')[0]?.question
    expect((await errand.client.getSession(id)).status).toBe('waiting')
    const item = question?.items[0]
    const label = item?.options[0]?.label ?? ''
    await errand.client.answerQuestion(id, question?.id ?? '', {
      allow: true,
      answers: { [item?.question ?? '']: label },
    })
    const events = await errand.finish(id)
    expect(eventsOf(events, 'turn.completed')).toHaveLength(1)
    const answered = toolResults(events).find(({ name }) => name === 'AskUserQuestion')
    expect(answered?.output).toContain(label)
  })

  it('goes on in the same conversation with a follow-up, also after stop and start', async () => {
    const { id } = await errand.start(repository, 'add a function isEmpty')
    const first = await errand.finish(id)
    await errand.client.actOnSession(id, 'stop')
    const stopped = await errand.follow(
      id,
      ({ body }) => body.type === 'sandbox.stopped',
      first.at(-1)?.seq,
    )
    await errand.client.sendMessage(id, { text: 'now test it' })
    const events = await errand.finish(id, stopped.at(-1)?.seq)
    expect(eventsOf(events, 'sandbox.preparing')).toMatchObject([{ resume: true, generation: 2 }])
    expect(eventsOf(events, 'turn.completed')).toHaveLength(1)
    const last = errand.model.requests.findLast(({ side }) => !side)
    expect(last?.scenario).toBe('follow-up')
    expect(last?.body).toContain('add a function isEmpty')
    expect((await errand.client.getDiff(id)).commits.length).toBeGreaterThanOrEqual(2)
  })

  it('is interrupted while it streams and while a command runs, and takes the next message', async () => {
    const { id } = await errand.start(repository, 'wait in a command')
    await errand.follow(id, ({ body }) => body.type === 'tool.called')
    await errand.client.interruptTurn(id)
    const events = await errand.finish(id)
    expect(eventsOf(events, 'turn.interrupted')).toHaveLength(1)
    await errand.client.sendMessage(id, { text: 'how does the discount work?' })
    const next = await errand.finish(id, events.at(-1)?.seq)
    expect(eventsOf(next, 'turn.completed')).toHaveLength(1)
  })

  it('runs beside another one without touching it', async () => {
    const [one, two] = await Promise.all([
      errand.start(repository, 'make the failing test pass'),
      errand.start(repository, 'rename lineTotal'),
    ])
    const [first, second] = await Promise.all([errand.finish(one.id), errand.finish(two.id)])
    expect(eventsOf(first, 'turn.completed')).toHaveLength(1)
    expect(eventsOf(second, 'turn.completed')).toHaveLength(1)
    const [a, b] = await Promise.all([errand.client.getDiff(one.id), errand.client.getDiff(two.id)])
    expect(a.files.length).toBe(1)
    expect(b.files.length).toBeGreaterThan(1)
    expect(b.patch).not.toContain('>= DISCOUNT_FROM')
  })

  it('runs a command without the agent and tells its exit code', async () => {
    const { id } = await errand.start(repository, 'node --test; echo "code $?"; exit 7', {
      kind: 'command',
    })
    const events = await errand.finish(id)
    expect(eventsOf(events, 'turn.completed')).toMatchObject([{ exitCode: 7 }])
    expect(
      eventsOf(events, 'command.output')
        .map(({ text }) => text)
        .join(''),
    ).toContain('code 1')
    expect(eventsOf(events, 'model.used')).toEqual([])
  })

  it('is worked on by an agent that began to boot before the runner', async () => {
    const { id } = await errand.start(repository, 'how does the discount work?')
    const events = await errand.finish(id)
    // Else all would work too, and begin later.
    const parent = 'ps -o args= $(ps -o ppid= $(pgrep -x claude))'
    await errand.client.sendMessage(id, { kind: 'command', text: parent })
    const shown = eventsOf(await errand.finish(id, events.at(-1)?.seq), 'command.output')
    expect(shown.map(({ text }) => text).join('')).toMatch(/^\/bin\/sh -c trap/)
  })

  it('says why the model refused', async () => {
    for (let attempt = 0; attempt < 12; attempt++)
      errand.model.failNext({ kind: 'status', status: 401 })
    const { id } = await errand.start(repository, 'how does the discount work?')
    const events = await errand.follow(id, ({ body }) => body.type === 'model.failed')
    expect(eventsOf(events, 'model.failed')[0]).toMatchObject({
      status: 401,
      reason: 'model_unauthenticated',
    })
    await errand.client.removeSession(id)
  })
})
