import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import { RUN_MARK } from './agent-environment.ts'
import { createProcesses } from './stray.ts'

const start = async (mark: string) => {
  const env = { PATH: '/usr/bin:/bin', [RUN_MARK]: mark }
  const child = spawn('sh', ['-c', 'echo up; exec sleep 60'], { env, detached: true })
  await once(child.stdout, 'data')
  return child
}

const { endRun } = createProcesses({ ownsAll: false })

describe('createProcesses', () => {
  it('ends the processes of one run and no others', async () => {
    const unique = `${process.pid}-${performance.now()}`
    const [mine, other] = [await start(`${unique}/a/1`), await start(`${unique}/ab/1`)]
    const ended = once(mine, 'exit')
    expect(await endRun(`${unique}/a/`, new Set())).toBe(1)
    expect((await ended)[1]).toBe('SIGKILL')
    expect(other.exitCode).toBeNull()
    const alsoEnded = once(other, 'exit')
    expect(await endRun(`${unique}/ab/1`, new Set())).toBe(1)
    await alsoEnded
  })
})
