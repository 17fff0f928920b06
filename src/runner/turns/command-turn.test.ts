import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { withFileLimit } from '../../lib/file-limit.fixture.ts'
import { openStateFile } from '../state-file.ts'
import { createCommandTurn, runCommand } from './command-turn.ts'

const variables = { PATH: '/usr/local/bin:/usr/bin:/bin', HOME: '/nonexistent', MINE: 'yes' }
const run = async (text: string, signal = new AbortController().signal) => {
  const parts: string[] = []
  const deps = { folder: tmpdir(), variables, output: (part: string) => parts.push(part) }
  const exitCode = await runCommand(deps, text, signal)
  return { exitCode, parts, output: parts.join('') }
}

describe('runCommand', () => {
  it('gives output and exit code', async () => {
    expect(await run('echo $MINE; pwd; exit 7')).toMatchObject({
      exitCode: 7,
      output: `yes\n${tmpdir()}\n`,
    })
  })

  it('runs one that is longer than an argument may be, and leaves nothing of it open', async () => {
    const lines = `# ${'ü'.repeat(500)}\n`.repeat(200)
    const { exitCode, output } = await run(`${lines}echo $MINE; ls /proc/$$/fd; exit 7`)
    expect(exitCode).toBe(7)
    expect(output).toMatch(/^yes\n0\n1\n2\n(?!3\n)/)
  })

  it('puts many small writes together and cuts large ones', async () => {
    const { parts, output } = await run('for i in $(seq 1 20000); do echo line $i; done')
    expect(output.split('\n').length).toBe(20_001)
    expect(parts.length).toBeLessThan(40)
    expect(Math.max(...parts.map((part) => part.length))).toBeLessThanOrEqual(32 << 10)
  })

  it('keeps characters whole that arrive in parts', async () => {
    const { output } = await run("printf '\\303'; sleep 0.05; printf '\\244\\n'")
    expect(output).toBe('ä\n')
  })

  it('leaves out the middle of far too much, not the end', async () => {
    const { output } = await run("head -c 6000000 /dev/zero | tr '\\0' x; echo; echo the end")
    expect(output.length).toBeLessThan(4_500_000)
    expect(output).toContain('output left out')
    expect(output).toMatch(/the end\n$/)
  })

  it('loses nothing when this program is held up while the command ends', async () => {
    const hold = (ms: number) => {
      const until = performance.now() + ms
      while (performance.now() < until);
    }
    const command = run('sleep 0.4; echo late')
    // Another child ends at the same time: the end of the command is seen along with its, before the command's output.
    const other = spawn('echo', ['early'])
    other.stdout.once('data', () => hold(1_000))
    other.once('exit', () => setImmediate(() => hold(400)))
    hold(200)
    expect(await command).toMatchObject({ exitCode: 0, output: 'late\n' })
  })

  it('does not wait for what stays in the background', async () => {
    const { exitCode, output } = await run('sleep 30 & echo $!')
    expect(exitCode).toBe(0)
    process.kill(Number(output), 'SIGKILL')
  })

  it('ends the whole group when interrupted, also what ignores SIGTERM', async () => {
    const interrupt = new AbortController()
    const text = "trap '' TERM; sleep 30 & echo $!; wait; sleep 30"
    const parts: string[] = []
    const output = (part: string) => {
      parts.push(part)
      interrupt.abort()
    }
    const exitCode = await runCommand(
      { folder: tmpdir(), variables, output },
      text,
      interrupt.signal,
    )
    expect(exitCode).toBe(137)
    // It was told to end at the same moment as the first of its group, and may need a little longer.
    await expect
      .poll(() => readFile(`/proc/${Number(parts[0])}/status`, 'utf8').catch(() => 'gone'), {
        timeout: 10_000,
      })
      .toMatch(/gone|State:\s+Z/)
  })
})

describe('createCommandTurn', () => {
  it('runs nothing of which the disk does not take the note: it could be run again', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'errand-command-'))
    const nothing = () => undefined
    const state = openStateFile(join(folder, 'state.json'), nothing)
    const run = createCommandTurn({ folder, variables, state, report: nothing, onStart: nothing })
    const running = new AbortController().signal
    const context = { interrupted: running, stopped: running, isResumed: false }
    await withFileLimit(20, async () => {
      expect(await run({ id: 't_1', text: 'touch ran' }, context)).toMatchObject({
        kind: 'failed',
        reason: 'command_not_noted',
        message: expect.stringContaining('The command was not run'),
      })
    })
    expect(existsSync(join(folder, 'ran'))).toBe(false)
    expect(await run({ id: 't_2', text: 'touch ran' }, context)).toMatchObject({ exitCode: 0 })
    expect(existsSync(join(folder, 'ran'))).toBe(true)
    await rm(folder, { recursive: true })
  })
})
