// An agent of the real Claude Code that boots before its work is known: ahead of its session, or before the runner has loaded.
import { existsSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { gitEnvironment } from '../../../demo/repository.ts'
import { loadScenarios } from '../../../demo/scenario.ts'
import { runChecked } from '../../lib/process.ts'
import { asksWith, BRANCH, createPlace, type Place } from '../place.fixture.ts'

let place: Place
beforeEach(async () => {
  place = await createPlace([
    asksWith('touch a file', 'Bash', { command: 'echo new > new.txt', description: 'Write' }),
    ...loadScenarios(),
  ])
})
afterEach(() => place.close())

/** The folder's own words, so that they must have been read after it was known. */
async function changeUpstream(path: string, text: string): Promise<void> {
  const clone = join(place.upstream, '..', 'clone')
  await runChecked('git', ['clone', '--quiet', place.upstream, clone], { env: gitEnvironment() })
  const git = (...args: string[]) => runChecked('git', args, { cwd: clone, env: gitEnvironment() })
  await mkdir(dirname(join(clone, path)), { recursive: true })
  await writeFile(join(clone, path), text)
  await git('add', '--all')
  await git('commit', '--quiet', '--message', 'Change')
  await git('push', '--quiet', 'origin', 'HEAD')
  place.setup.repository.commit = (await git('rev-parse', 'HEAD')).trim()
}

describe('an agent that was started ahead', () => {
  it('takes the repository that it is told, with its memory, its hooks and where it works', async () => {
    const hooks = {
      SessionStart: [{ hooks: [{ type: 'command', command: 'echo hook $((6*7))' }] }],
    }
    await changeUpstream('.claude/settings.json', JSON.stringify({ hooks }))
    await place.startAhead()
    const before = await place.agents()
    expect(before).toHaveLength(1)
    await place.start()
    await place.gateway.wait('runner.ready')
    expect(await place.agents()).toEqual(before)
    await place.endOf(place.ask('touch a file'))
    const asked = JSON.stringify(place.model.requests)
    for (const said of ['hook 42', 'whole cents', BRANCH]) expect(asked).toContain(said)
    expect(await place.transcript()).toContain('touch a file')
    expect(await place.git('show', '--stat', 'HEAD')).toContain('new.txt')
  })

  it('gives way to one that is started as usual for a folder whose settings it cannot take', async () => {
    await changeUpstream('.claude/settings.json', JSON.stringify({ env: { COLOUR: 'red' } }))
    await place.startAhead()
    const before = await place.agents()
    await place.start()
    await place.gateway.wait('runner.ready')
    const after = await place.agents()
    expect(after).toHaveLength(1)
    expect(after).not.toEqual(before)
    expect(await place.endOf(place.ask('touch a file'))).toMatchObject({ type: 'turn.completed' })
  })

  it('is not missed when it died while it waited', async () => {
    await place.startAhead()
    for (const pid of await place.agents()) process.kill(pid, 'SIGKILL')
    await place.start()
    await place.gateway.wait('runner.ready')
    expect(await place.endOf(place.ask('touch a file'))).toMatchObject({ type: 'turn.completed' })
  })

  it('ends with its runner', async () => {
    await place.startAhead()
    await place.stop()
    await expect.poll(place.agents).toEqual([])
  })
})

describe('an agent that is not started before it is needed', () => {
  it('boots as soon as its session is known to begin with one', async () => {
    await place.startAhead('needed')
    expect(await place.agents()).toEqual([])
    place.gateway.needAgent()
    await expect.poll(place.agents).toHaveLength(1)
    const before = await place.agents()
    await place.start()
    await place.gateway.wait('runner.ready')
    expect(await place.agents()).toEqual(before)
    expect(await place.endOf(place.ask('touch a file'))).toMatchObject({ type: 'turn.completed' })
  })

  it('is started by the first prompt of a session that began with a command', async () => {
    await place.startAhead('needed')
    const command = place.ask('echo from the command', 'command')
    await place.start()
    expect(await place.endOf(command)).toMatchObject({ type: 'turn.completed', exitCode: 0 })
    expect(await place.agents()).toEqual([])
    expect(await place.endOf(place.ask('touch a file'))).toMatchObject({ type: 'turn.completed' })
    expect(await place.git('show', '--stat', 'HEAD')).toContain('new.txt')
    expect(await place.agents()).toHaveLength(1)
  })

  it('is started all the same where settings may want to run when a session begins', async () => {
    const hooks = { SessionStart: [{ hooks: [{ type: 'command', command: 'touch ../began' }] }] }
    await changeUpstream('.claude/settings.json', JSON.stringify({ hooks }))
    await place.startAhead('needed')
    const command = place.ask('true', 'command')
    await place.start()
    await place.gateway.wait('runner.ready')
    expect(await place.agents()).toHaveLength(1)
    await place.endOf(command)
    await expect.poll(() => existsSync(join(place.checkout, '../began'))).toBe(true)
  })
})

/** Whose leader an agent that was started before the runner is known by. */
async function groupOf(pid: number): Promise<number> {
  return Number((await readFile(`/proc/${pid}/stat`, 'utf8')).split(' ')[4])
}

describe('an agent that was started before the runner', () => {
  const agentsAfter = async () => {
    await place.gateway.wait('runner.ready')
    const groups = await Promise.all((await place.agents()).map(groupOf))
    expect(await place.endOf(place.ask('touch a file'))).toMatchObject({ type: 'turn.completed' })
    return groups
  }

  it('is the one that works, in the checkout, with its memory', async () => {
    const { child } = await place.startBehind()
    expect(await agentsAfter()).toEqual([child.pid])
    expect(JSON.stringify(place.model.requests)).toContain('whole cents')
    expect(await place.git('show', '--stat', 'HEAD')).toContain('new.txt')
  })

  it('finds all that it would have noted in a new home', async () => {
    const notes = join(place.home, '.claude.json')
    await place.startBehind()
    const before = JSON.parse(await readFile(notes, 'utf8'))
    await agentsAfter()
    // A newer version that has more to migrate or to note says so here: see agent-home.ts.
    expect(JSON.parse(await readFile(notes, 'utf8'))).toMatchObject(before)
  })

  it('gives way to one that is started as usual when it is not what would be started now', async () => {
    const { child } = await place.startBehind(({ args }) => void args.push('--verbose'))
    const groups = await agentsAfter()
    expect(groups).toHaveLength(1)
    expect(groups).not.toContain(child.pid)
  })

  it('is not missed when it dies', async () => {
    const { child } = await place.startBehind()
    child.kill('SIGKILL')
    expect(await agentsAfter()).toHaveLength(1)
  })

  it('ends with its runner, also while it boots', async () => {
    await place.startBehind()
    await place.stop()
    await expect.poll(place.agents).toEqual([])
  })
})
