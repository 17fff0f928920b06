// Starting and stopping Errand: what stands in the way is said, and what was made for running is taken away. Tests that may
// begin with what the one before left share a data folder, since a new one makes each start twice as long.
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, realpath, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createSampleRepository } from '../../demo/repository.ts'
import { loadScenarios } from '../../demo/scenario.ts'
import { createScriptedModel, type ScriptedModel } from '../../demo/scripted-model.ts'
import type { RunResult } from '../../src/cli/result.ts'
import { readConfig } from '../../src/config.ts'
import { untilServerEnded } from '../../src/installation/instance.ts'
import { takeDown } from '../../src/installation/short-lived.ts'
import { runChecked } from '../../src/lib/process.ts'
import type { SessionSummary } from '../../src/protocol/api.ts'
import { errorOf, jsonOf, type RunningCommand, runCommand, startCommand } from './command.ts'

const KEY = 'sk-up-key'

let model: ScriptedModel
let folder: string
let data: string
let repository: string

beforeAll(async () => {
  model = await createScriptedModel({ scenarios: loadScenarios(), requireKey: KEY })
})
afterAll(() => model.close())
async function makeFolder(): Promise<void> {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'errand-up-')))
  data = join(folder, 'data')
  repository = join(folder, 'cart')
  await createSampleRepository(repository)
}
const removeFolder = () => rm(folder, { recursive: true, force: true })

/** Removes the sessions, so that no sandbox stays behind, and stops Errand. */
const down = () => takeDown(readConfig({ dataDir: data }))

/** One for all tests that are described together. */
function shareFolder(): void {
  beforeAll(makeFolder)
  afterAll(removeFolder)
  afterEach(down)
}
function useFolderEach(): void {
  beforeEach(makeFolder)
  afterEach(async () => {
    await down()
    await removeFolder()
  })
}

const key = () => ({ ANTHROPIC_API_KEY: KEY, ANTHROPIC_BASE_URL: model.url })
const here = () => ({ ERRAND_DATA: data, ERRAND_PORT: '0', ERRAND_LOG_LEVEL: 'warn' })
const runtimeDir = () => readConfig({ dataDir: data }).runtimeDir

async function up(env: Record<string, string> = key()): Promise<RunningCommand> {
  const running = startCommand(['up', '--json', '--port', '0', '--data', data], { env })
  await running.said(/\n/)
  return running
}
const upRefusal = async (...args: string[]) =>
  errorOf(await runCommand(['up', '--json', '--data', data, ...args]))

const runTask = async (env: Record<string, string> = {}) => {
  const args = ['run', 'make the failing test pass', '--repo', repository, '--json']
  return runCommand(args, { env: { ...here(), ...env } })
}

describe('errand up and errand down', () => {
  shareFolder()

  it('runs once on a data folder, and starts on it again after it was stopped', async () => {
    const first = startCommand(['up', '--port', '0', '--data', data], { env: key() })
    await first.said(/Stop with/)
    expect(first.stdout()).toMatch(/^Errand runs at http:\/\/127\.0\.0\.1:\d+$/m)
    expect(first.stdout()).toMatch(/^Log in once with this link .*\/login\?token=\w+$/m)
    const second = await upRefusal('--port', '0')
    expect(second).toMatchObject({ code: 'conflict', reason: 'already_running' })
    expect(second.message).toMatch(/http:\/\/127\.0\.0\.1:\d+ \(process \d+\)/)
    await symlink(data, `${data}-link`)
    const linked = await runCommand(['up', '--json', '--port', '0', '--data', `${data}-link`])
    expect(errorOf(linked)).toMatchObject({ reason: 'already_running' })
    const { sessionId } = jsonOf<RunResult>(await runTask())

    const stopped = await runCommand(['down', '--data', data, '--json'])
    expect(jsonOf(stopped)).toEqual({ stopped: true })
    expect(await first.ended()).toBe(0)
    expect(existsSync(`${runtimeDir()}/settings`)).toBe(false)
    expect(jsonOf(await runCommand(['down', '--data', data, '--json']))).toEqual({ stopped: false })

    await up()
    const again = await runCommand(['show', sessionId, '--json'], { env: here() })
    expect(jsonOf(again)).toMatchObject({ id: sessionId, status: 'idle' })
  })

  it('is reached from its own machine while nothing stands at its public address', async () => {
    const url = 'https://errand.invalid'
    await up({ ...key(), ERRAND_PUBLIC_URL: url })
    const result = await runTask()
    expect(result.exitCode, result.stderr).toBe(0)
    const { sessionId, url: page } = jsonOf<RunResult>(result)
    expect(page).toBe(`${url}/sessions/${sessionId}`)
  })

  it('refuses a second one while the first starts', async () => {
    const both = [0, 1].map(() =>
      startCommand(['up', '--json', '--port', '0', '--data', data], { env: key() }),
    )
    await Promise.all(both.map((one) => one.said(/\n/)))
    const [refused, others] = both.map((one) => one.stdout()).sort()
    expect(JSON.parse(refused ?? '')).toMatchObject({ error: { code: 'conflict' } })
    expect(JSON.parse(others ?? '')).toHaveProperty('url')
  })

  it.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
    'leaves nothing in /run after %s',
    async (signal) => {
      const running = await up()
      expect(Object.keys(JSON.parse(running.stdout()))).toEqual(['url', 'loginUrl'])
      expect(await readdir(runtimeDir())).toContain('settings')
      running.interrupt(signal)
      expect(await running.ended()).toBe(0)
      expect(existsSync(runtimeDir())).toBe(false)
      expect(await readdir(data)).toContain('postgres')
    },
  )

  it('says that the one before was killed, notices a taken port at once, and starts', async () => {
    const first = await up()
    const port = new URL(JSON.parse(first.stdout()).url).port
    first.interrupt('SIGKILL')
    await first.ended()
    const again = startCommand(['up', '--port', port, '--data', data], { env: key() })
    await again.said(/Stop with/)
    expect(again.stdout()).toMatch(/^The last Errand here did not end in order\./)
    again.interrupt('SIGKILL')
    await again.ended()
    await untilServerEnded(readConfig({ dataDir: data }))
    const other = createServer().listen(Number(port), '127.0.0.1')
    await once(other, 'listening')
    const refused = await runCommand(['up', '--json', '--port', port, '--data', data])
    expect(errorOf(refused)).toMatchObject({ reason: 'port_taken' })
    // Noticed before any program was begun.
    expect(refused.stderr).not.toContain('"name":"server"')
    other.close()
    expect(existsSync(runtimeDir())).toBe(false)
  })

  it('keeps what a running sandbox needs, and finds it again', async () => {
    await up()
    const args = ['run', 'wait in a command', '--repo', repository, '--detach', '--json']
    const { sessionId } = jsonOf<RunResult>(await runCommand(args, { env: here() }))
    const following = startCommand(['logs', sessionId, '--follow', '--json'], { env: here() })
    await following.said(/"tool\.called"|\.failed"/)
    following.interrupt()
    await following.ended()
    await runCommand(['down', '--data', data])
    expect(existsSync(`${runtimeDir()}/settings`)).toBe(false)
    expect(await readdir(join(runtimeDir(), 'doors'))).toEqual([sessionId])
    await up()
    await runCommand(['interrupt', sessionId], { env: here() })
    const after = startCommand(['logs', sessionId, '--follow', '--json'], { env: here() })
    await after.said(/"turn\.interrupted"|\.failed"/)
    after.interrupt()
    await after.ended()
    expect(after.stdout()).toContain('"turn.interrupted"')
    expect(after.stdout()).not.toContain('"resume":true')
  })
})

describe('what stands in the way', () => {
  useFolderEach()

  it('is a port that is taken', async () => {
    const other = createServer().listen(0, '127.0.0.1')
    await once(other, 'listening')
    const { port } = other.address() as AddressInfo
    expect(await upRefusal('--port', String(port))).toMatchObject({
      code: 'conflict',
      reason: 'port_taken',
      message: expect.stringContaining(String(port)),
    })
    other.close()
    expect(existsSync(runtimeDir())).toBe(false)
    // Noticed before anything else was begun.
    expect(existsSync(join(data, 'postgres'))).toBe(false)
  })

  it('is no port, or no address of this machine', async () => {
    expect(await upRefusal('--port', '70000')).toMatchObject({ reason: 'invalid_port' })
    expect(await upRefusal('--port', '0', '--host', '203.0.113.7')).toMatchObject({
      code: 'invalid',
    })
  })

  it("is a folder with somebody's work in it, which keeps its owner", async () => {
    await mkdir(data)
    await writeFile(join(data, 'thesis.tex'), 'years')
    const before = await stat(data)
    expect(await upRefusal('--port', '0')).toMatchObject({
      code: 'conflict',
      reason: 'data_folder_foreign',
    })
    expect(await stat(data)).toMatchObject({ uid: before.uid, mode: before.mode })
    data = join(data, 'thesis.tex')
    const unfit = { code: 'invalid', reason: 'data_folder_unfit' }
    expect(await upRefusal('--port', '0')).toMatchObject(unfit)
    expect(errorOf(await runTask(key()))).toMatchObject(unfit)
  })

  it('is a disk without space', async () => {
    await mkdir(data)
    await runChecked('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'none', data])
    try {
      expect(await upRefusal('--port', '0')).toMatchObject({ code: 'no_space' })
      const result = await runTask(key())
      expect(errorOf(result)).toMatchObject({ code: 'no_space' })
    } finally {
      // An Errand that could not start may still be ending.
      await runChecked('umount', ['--lazy', data])
    }
  })
})

describe('the key for the model', () => {
  shareFolder()

  it('is missed at once, with a sentence that says what to set', async () => {
    await up({})
    const result = await runTask()
    expect(result.exitCode).toBe(3)
    const { error } = jsonOf<RunResult>(result)
    expect(error).toMatchObject({ code: 'unauthenticated', reason: 'model_key_missing' })
    expect(error?.message).toContain('ANTHROPIC_API_KEY')
    expect(
      (await runCommand(['logs', jsonOf<RunResult>(result).sessionId], { env: here() })).stdout,
    ).toContain('ANTHROPIC_API_KEY')
  })

  it('is refused by the model API, and nobody tries it for minutes', async () => {
    await up({ ...key(), ANTHROPIC_API_KEY: 'sk-wrong' })
    const before = model.requests.length
    const result = await runTask()
    expect(result.exitCode).toBe(3)
    expect(jsonOf<RunResult>(result).error).toMatchObject({
      code: 'unauthenticated',
      reason: 'model_unauthenticated',
    })
    const asked = model.requests.slice(before).filter(({ method }) => method === 'POST')
    expect(asked.length).toBeLessThan(8)
  })

  it('may be a bearer token', async () => {
    await up({ ANTHROPIC_AUTH_TOKEN: KEY, ANTHROPIC_BASE_URL: model.url })
    const result = await runTask()
    expect(result.exitCode, result.stdout + result.stderr).toBe(0)
  })
})

describe('errand run', () => {
  useFolderEach()

  it('starts Errand when none runs, also from two terminals at once', async () => {
    const results = await Promise.all([runTask(key()), runTask(key())])
    for (const result of results) {
      expect(result.exitCode, result.stdout + result.stderr).toBe(0)
      expect(jsonOf<RunResult>(result)).toMatchObject({ outcome: 'completed' })
    }
    const sessions = await runCommand(['sessions', '--json'], { env: here() })
    expect(jsonOf<SessionSummary[]>(sessions)).toHaveLength(2)
    expect(await readdir(join(data, 'log'))).toEqual(['errand.log'])
  })

  it('works with a data path of 150 characters', async () => {
    const parent = join(folder, 'a'.repeat(60))
    data = join(parent, 'b'.repeat(150 - parent.length - 1))
    expect(data).toHaveLength(150)
    await up()
    const result = await runTask()
    expect(result.exitCode, result.stdout + result.stderr).toBe(0)
    expect(jsonOf<RunResult>(result)).toMatchObject({ outcome: 'completed', filesChanged: 1 })
  })
})
