// Sandboxes that are started ahead, in a whole installation: a session takes one with its agent, and programs that are
// killed meanwhile cost at most the waiting.
import { existsSync, readdirSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createSampleRepository } from '../../demo/repository.ts'
import { SANDBOX_PATHS } from '../../src/protocol/network.ts'
import { eventsOf, type Installation, startInstallation } from '../e2e/installation.ts'
import { commandsInside, findInside, findProgram, runtimeDirOf } from './processes.ts'

const READY = { timeout: 30_000, interval: 50 }

let errand: Installation
let folder: string
let repository: string
let isRunning = false

async function startWith(agents: string): Promise<void> {
  const env = { ERRAND_STANDBYS: '1', ERRAND_STANDBY_AGENTS: agents, ERRAND_LOG_LEVEL: 'fatal' }
  errand = await startInstallation({ env })
  isRunning = true
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'errand-standby-'))
  repository = join(folder, 'cart')
  await createSampleRepository(repository)
  await startWith('1')
})
afterAll(async () => {
  if (isRunning) await errand.stop()
  await rm(folder, { recursive: true, force: true })
})

const sandboxes = () => readdirSync(join(errand.dataDir, 'sandboxes'))
const doors = () => readdirSync(join(runtimeDirOf(errand.dataDir), 'doors'))

/** The id of the only sandbox that waits. */
async function waiting(): Promise<string> {
  const counts = async () => (await errand.client.getInstallation()).standbys
  await expect.poll(counts, READY).toEqual({ ready: 1, wanted: 1 })
  const { sessions } = await errand.client.listSessions({ archived: true, limit: 100 })
  const left = sandboxes().filter((id) => !sessions.some((session) => session.id === id))
  expect(left).toHaveLength(1)
  return left[0] ?? ''
}

async function finishTask(): Promise<string> {
  const { id } = await errand.start(repository, 'make the failing test pass')
  const events = await errand.finish(id)
  expect(eventsOf(events, 'turn.completed')).toHaveLength(1)
  expect(eventsOf(events, 'push.accepted')).toHaveLength(1)
  return id
}

describe('a sandbox that waits', () => {
  it('is the next session, with its id and its agent, and another one takes its place', async () => {
    const id = await waiting()
    expect(await finishTask()).toBe(id)
    const next = await waiting()
    expect(next).not.toBe(id)
    await errand.client.removeSession(id)
    await expect.poll(sandboxes, READY).toEqual([next])
    expect(doors()).toEqual([next])
  })

  it('is still good after the gateway was killed', async () => {
    const id = await waiting()
    process.kill(findProgram(errand.dataDir, 'gateway'), 'SIGKILL')
    expect(await finishTask()).toBe(id)
  })

  it('is good or replaced after the server was killed', async () => {
    const before = await waiting()
    process.kill(findProgram(errand.dataDir, 'server'), 'SIGKILL')
    await expect
      .poll(() => existsSync(join(errand.dataDir, 'sandboxes', before)), READY)
      .toBe(false)
    expect(await finishTask()).not.toBe(before)
    await waiting()
  })

  it('belongs to an environment: another one starts anew and is what waits next', async () => {
    const before = await waiting()
    const { id: environment } = await errand.client.createEnvironment({
      name: 'Red',
      variables: { COLOUR: 'red' },
    })
    const { id } = await errand.start(repository, '!echo "$COLOUR"', {
      kind: 'command',
      prompt: 'echo "$COLOUR"',
      environment,
    })
    expect(id).not.toBe(before)
    const events = await errand.finish(id)
    expect(eventsOf(events, 'command.output').map(({ text }) => text)).toEqual(['red\n'])
    await expect.poll(() => sandboxes().includes(before), READY).toBe(false)
    await waiting()
  })

  it('ends with Errand', async () => {
    const id = await waiting()
    const pid = findInside(errand.dataDir, id, 'runner')
    await errand.stop()
    isRunning = false
    await expect.poll(() => existsSync(`/proc/${pid}`), READY).toBe(false)
  })
})

describe('a sandbox that waits without an agent', () => {
  beforeAll(() => startWith('0'))
  const agents = (id: string) =>
    commandsInside(errand.dataDir, id).filter((command) => command.startsWith(SANDBOX_PATHS.agent))

  it('is the next session and gets one, also after the gateway was killed', async () => {
    const id = await waiting()
    process.kill(findProgram(errand.dataDir, 'gateway'), 'SIGKILL')
    expect(agents(id)).toEqual([])
    expect(await finishTask()).toBe(id)
    expect(agents(id)).toHaveLength(1)
  })

  it('runs a command without one, and starts it for the first prompt', async () => {
    const id = await waiting()
    const { id: started } = await errand.start(repository, 'git status', { kind: 'command' })
    expect(started).toBe(id)
    const last = (await errand.finish(id)).at(-1)?.seq
    expect(agents(id)).toEqual([])
    await errand.client.sendMessage(id, { text: 'make the failing test pass' })
    const events = await errand.finish(id, last)
    expect(eventsOf(events, 'push.accepted')).toHaveLength(1)
    expect(agents(id)).toHaveLength(1)
  })
})
