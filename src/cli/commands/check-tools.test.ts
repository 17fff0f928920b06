import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { runChecked } from '../../lib/process.ts'
import { AppError } from '../../protocol/errors.ts'
import type { EventBody } from '../../protocol/event.ts'
import type { SessionState } from '../../protocol/session.ts'
import { createTestCli } from '../cli.fixture.ts'
import { BEGIN, createErrand, DONE, sessionId, turnId } from '../errand.fixture.ts'

const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
const SAID: EventBody = { type: 'command.output', turnId, text: 'node 24\n' }

let folder: string
let env: Record<string, string>

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'errand-check-tools-'))
  env = { PATH, HOME: folder }
  await runChecked('git', ['init', '--quiet', '--bare', 'upload'], { cwd: folder, env })
})
afterEach(() => rm(folder, { recursive: true }))

function createCli(...more: EventBody[]) {
  const { client, calls } = createErrand([...BEGIN, ...more])
  const removed: string[] = []
  client.createUpload = async () => ({ id: `u_${'a'.repeat(20)}`, gitPath: '/upload' })
  client.removeSession = async (id) => {
    removed.push(id)
  }
  return {
    cli: createTestCli({ client, env, baseUrl: `file://${folder}` }),
    client,
    calls,
    removed,
  }
}

describe('errand check-tools', () => {
  it('says what is there, and takes its session away', async () => {
    const { cli, removed } = createCli(SAID, { ...DONE, exitCode: 0 })
    expect(await cli.run('check-tools'), cli.stderr.text()).toBe(0)
    expect(cli.stdout.text()).toBe('node 24\n')
    expect(removed).toEqual([sessionId])
  })

  it('takes its session away at Ctrl-C, and where nobody could say that it was made', async () => {
    const { cli, client, calls, removed } = createCli()
    const { createSession } = client
    let asked = 0
    client.createSession = async (fields) => {
      const session = await createSession?.(fields)
      asked += 1
      if (asked === 1) throw new AppError('unavailable', 'errand_unreachable', 'cut off')
      return session as SessionState
    }
    const ended = cli.run('check-tools')
    while (cli.listeners() === 0) await new Promise(setImmediate)
    cli.interrupt()
    expect(await ended).toBe(130)
    expect(removed).toEqual([sessionId])
    expect(cli.listeners()).toBe(0)
    const made = calls.flatMap(({ name, args }) => (name === 'createSession' ? args : []))
    expect(made).toEqual([made[0], made[0]])
    expect(made[0]).toMatchObject({ turnId: expect.stringMatching(/^t_/) })
  })

  it('works where git makes repositories of another format', async () => {
    env.GIT_DEFAULT_HASH = 'sha256'
    const { cli } = createCli(SAID, { ...DONE, exitCode: 0 })
    expect(await cli.run('check-tools'), cli.stderr.text()).toBe(0)
  })
})
