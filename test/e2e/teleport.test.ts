// From a session to Claude Code on one's own machine: the real one goes on with the conversation that came with the branch.
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createSampleRepository } from '../../demo/repository.ts'
import type { RunResult } from '../../src/cli/result.ts'
import { runChecked } from '../../src/lib/process.ts'
import { claudePath } from '../../src/runner/place.fixture.ts'
import { jsonOf, runCommand } from './command.ts'
import { type Installation, OWNER_KEY, startInstallation } from './installation.ts'

let errand: Installation
let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'errand-teleport-'))
  errand = await startInstallation()
})
afterAll(async () => {
  await errand.stop()
  await rm(folder, { recursive: true, force: true })
})

it('goes on here where the agent left off there', async () => {
  const repository = join(folder, 'cart')
  await createSampleRepository(repository)
  const home = { CLAUDE_CONFIG_DIR: join(folder, 'claude') }
  const env = { ERRAND_URL: errand.url, ERRAND_TOKEN: errand.token, ...home }
  const run = async <T>(...args: string[]) => {
    const result = await runCommand([...args, '--json'], { cwd: repository, env })
    expect(result.exitCode, result.stdout + result.stderr).toBe(0)
    return jsonOf<T>(result)
  }
  const { sessionId, branch } = await run<RunResult>('run', 'add a function isEmpty')
  const { conversationId } = await run<{ conversationId: string }>('teleport', sessionId)
  const at = { cwd: repository, env: { PATH: process.env.PATH ?? '' } }
  expect((await runChecked('git', ['branch', '--show-current'], at)).trim()).toBe(branch)
  const answer = await runChecked(
    claudePath,
    ['-p', 'now test it', '--resume', conversationId, '--permission-mode', 'acceptEdits'],
    {
      cwd: repository,
      env: {
        ...{ PATH: process.env.PATH ?? '', HOME: folder, ...home },
        ...{ ANTHROPIC_API_KEY: OWNER_KEY, ANTHROPIC_BASE_URL: errand.model.url },
      },
    },
  )
  expect(answer).toContain('covers `isEmpty`')
  const made = await readFile(join(repository, 'test/is-empty.test.js'), 'utf8')
  expect(made).toContain('a cart without lines is empty')
})
