import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { access, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { startAhead } from '../place.fixture.ts'
import { RUN_MARK } from './agent-environment.ts'
import { type AgentChild, isRunning, stateFile } from './agent-start.ts'
import { aheadScript, beforeRunner } from './ahead-script.ts'

const NOW = new Date('2026-01-02T03:04:05Z')
const boot = { sessionId: 's_1', variables: { COLOUR: `red 'and' "$blue"\nor green` } }
const SHOWS = { args: ['-c', 'pwd; env; echo "$2"', 'sh', '--settings', '{"a":1,"env":{}}'] }

let folder: string
let place: Parameters<typeof aheadScript>[3]
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'errand-ahead-'))
  await mkdir(join(folder, 'home'))
  place = {
    agent: '/bin/sh',
    stateFolder: folder,
    pipes: join(folder, 'pipes'),
    inherited: { PATH: '/usr/bin:/bin', HOME: join(folder, 'home') },
    transport: { IS_SANDBOX: '1' },
  }
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const scriptOf = (args: string[] = SHOWS.args) =>
  aheadScript(boot, { args, env: { ADDED: 'by the SDK' } }, NOW, place)
const running = (...args: string[]) => startAhead(scriptOf(args), place.pipes)
/** It may have ended before anybody asks. */
async function endOf(child: AgentChild): Promise<[number | null, string | null]> {
  if (isRunning(child)) await once(child, 'exit')
  return [child.exitCode, child.signalCode]
}
/** What the agent itself was given, below the shell that waits for it. */
async function environmentOf({ pid }: AgentChild): Promise<string> {
  const [agent] = (await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')).split(' ')
  return agent ? readFile(`/proc/${agent}/environ`, 'utf8') : ''
}
/** What `sh` runs there. */
const doing = (command: string) => running('-c', command, 'sh', '--settings', '{}')

describe('an agent that is started ahead of the runner', () => {
  it('is what was recorded, with the variables of the session, in an empty folder', async () => {
    const { child } = await running(...SHOWS.args)
    const said = await text(child.stdout)
    expect(said.split('\n')[0]).toBe(join(folder, 'parked'))
    expect(said).toContain('{"a":1,"env":{"IS_SANDBOX":"1"}}')
    expect(said).toContain(`COLOUR=${boot.variables.COLOUR}\n`)
    for (const line of ['ADDED=by the SDK', 'IS_SANDBOX=1', 'PATH=/usr/bin:/bin:/opt/errand/bin'])
      expect(said.split('\n')).toContain(line)
    const { SSL_CERT_FILE: trusted } = Object.fromEntries(
      said.split('\n').map((line) => line.split('=')),
    )
    await access(trusted ?? '')
  })

  it('is seen as what it was started as', async () => {
    const { child, command } = await doing('read -r line')
    await expect.poll(command).toMatchObject({
      command: '/bin/sh',
      args: ['-c', 'read -r line', 'sh', '--settings', '{"env":{"IS_SANDBOX":"1"}}'],
      cwd: join(folder, 'parked'),
      env: { ADDED: 'by the SDK', COLOUR: boot.variables.COLOUR, HOME: join(folder, 'home') },
    })
    expect(command()?.env[RUN_MARK]).toMatch(/^s_1\/[0-9a-f-]{36}$/)
    // Nothing of the shells in between: the folder would be that of another.
    await expect.poll(() => environmentOf(child)).toContain('COLOUR=red')
    expect(await environmentOf(child)).not.toMatch(/\0(?:OLD)?PWD=/)
    const exit = endOf(child)
    child.stdin.end()
    await exit
    expect(command()).toBeUndefined()
  })

  it('reads, writes and ends as a child does', async () => {
    const { child } = await doing('read -r line; echo "got $line"; echo wrong >&2; cat; exit 3')
    expect(isRunning(child)).toBe(true)
    const exit = endOf(child)
    child.stdin.end('one\ntwo\n')
    expect(await Promise.all([text(child.stdout), text(child.stderr)])).toEqual([
      'got one\ntwo\n',
      'wrong\n',
    ])
    expect(await exit).toEqual([3, null])
    expect(isRunning(child)).toBe(false)
    expect(child.kill()).toBe(false)
  })

  it.each(['SIGTERM', 'SIGKILL'] as const)(
    'ends by %s with what it has started',
    async (signal) => {
      const { child } = await doing('sleep 1000 & echo $!; wait')
      const [line] = await once(child.stdout, 'data')
      const exit = endOf(child)
      child.kill(signal)
      expect(await exit).toEqual([null, signal])
      await expect
        .poll(() => readFile(`/proc/${Number(line)}/stat`, 'utf8').catch(() => ' Z '))
        .toContain(' Z ')
    },
  )

  it('may write before anybody reads', async () => {
    const { child } = await doing('echo early; echo done >&2; read -r line')
    await once(child.stderr, 'data')
    child.stdin.end('\n')
    expect(await text(child.stdout)).toBe('early\n')
  })

  it('that cannot be started has ended', async () => {
    place.agent = join(folder, 'missing')
    const { child } = await doing('true')
    expect(await endOf(child)).toEqual([127, null])
  })

  it('finds noted in a new home what it would note there', async () => {
    const { child } = await doing('true')
    await endOf(child)
    const { machineID, userID, ...noted } = JSON.parse(
      await readFile(join(folder, 'home', '.claude.json'), 'utf8'),
    )
    expect(noted).toEqual({
      firstStartTime: NOW.toISOString(),
      migrationVersion: expect.any(Number),
    })
    expect(machineID).not.toBe(userID)
    for (const id of [machineID, userID]) expect(id).toMatch(/^[0-9a-f]{64}$/)
  })

  it('leaves alone what its home holds, and starts without one', async () => {
    const notes = join(folder, 'home', '.claude.json')
    await writeFile(notes, '{"mcpServers":{}}')
    await endOf((await doing('true')).child)
    expect(await readFile(notes, 'utf8')).toBe('{"mcpServers":{}}')
    await rm(join(folder, 'home'), { recursive: true })
    await rm(place.pipes, { recursive: true })
    expect(await endOf((await doing('true')).child)).toEqual([0, null])
  })
})

describe('no agent is started ahead', () => {
  it('where a conversation was', async () => {
    await writeFile(stateFile(folder), '{}')
    await expect(startAhead(scriptOf(), place.pipes)).rejects.toThrow('no agent')
    expect(existsSync(place.pipes)).toBe(false)
  })

  it('where its pipes cannot be made', async () => {
    await writeFile(place.pipes, '')
    await expect(startAhead(scriptOf(), place.pipes)).rejects.toThrow('no agent')
  })

  it('where its script would be longer than a sandbox takes one', () => {
    const start = { args: ['--settings', '{}'], env: {} }
    const withQuotes = (count: number) => ({ ...boot, variables: { QUOTES: "'".repeat(count) } })
    expect(beforeRunner(withQuotes(1_000), start, NOW)).toContain('setsid')
    expect(beforeRunner(withQuotes(30_000), start, NOW)).toBe('')
  })

  it('for a layer, or where none may be needed', () => {
    const start = { args: ['--settings', '{}'], env: {} }
    expect(beforeRunner({ ...boot, purpose: 'layer' }, start, NOW)).toBe('')
    expect(beforeRunner({ ...boot, agent: 'needed' }, start, NOW)).toBe('')
    expect(beforeRunner({ ...boot, agent: 'ahead' }, start, NOW)).toContain('setsid')
  })
})
