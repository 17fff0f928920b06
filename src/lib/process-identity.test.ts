import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { afterEach, describe, expect, it } from 'vitest'
import { describeProcess, hasCertainlyEnded, isAlive, nameOwnProcess } from './process-identity.ts'

let child: ChildProcess | undefined
afterEach(() => {
  child?.kill('SIGKILL')
})

/** A process that says its own name and waits. */
async function startNamed(): Promise<{ name: string; end(): Promise<void> }> {
  const code = `
    const { nameOwnProcess } = await import(${JSON.stringify(import.meta.resolve('./process-identity.ts'))})
    process.stdout.write(await nameOwnProcess())
    process.stdin.resume()`
  const started = spawn(process.execPath, ['--input-type=module', '--eval', code])
  child = started
  const [said] = await once(started.stdout, 'data')
  const end = async () => {
    const exited = once(started, 'exit')
    started.kill('SIGKILL')
    await exited
  }
  return { name: String(said), end }
}

const part = (name: string, index: number, value: string) =>
  name.split('/').with(index, value).join('/')

describe('the name of a process', () => {
  it('tells whether it has ended, to another one', async () => {
    const { name, end } = await startNamed()
    expect(await hasCertainlyEnded(name)).toBe(false)
    await end()
    expect(await hasCertainlyEnded(name)).toBe(true)
  })

  it('is not that of a later process with its number', async () => {
    const own = await nameOwnProcess()
    expect(await hasCertainlyEnded(own)).toBe(false)
    expect(await hasCertainlyEnded(part(own, 3, '1'))).toBe(true)
  })

  it('says nothing where it cannot be known: on another machine, after a boot, in another namespace, or for other names', async () => {
    const { name, end } = await startNamed()
    await end()
    const boot = '00000000-0000-4000-8000-000000000000'
    expect(await hasCertainlyEnded(part(name, 0, boot))).toBe(false)
    expect(await hasCertainlyEnded(part(name, 1, '1'))).toBe(false)
    expect(await hasCertainlyEnded('server-12-abcdef')).toBe(false)
  })
})

describe('a process that is described', () => {
  it('is alive until it ends', async () => {
    const { end } = await startNamed()
    const described = await describeProcess(child?.pid ?? 0)
    expect(await isAlive(described)).toBe(true)
    expect(await isAlive({ ...described, startTicks: '1' })).toBe(false)
    await end()
    expect(await isAlive(described)).toBe(false)
  })
})
