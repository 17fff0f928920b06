// `errand demo` as a newcomer runs it, and that nothing of it is left afterwards, however it ends.
import { mkdtemp, readdir, readFile, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { loadScenarios } from '../../demo/scenario.ts'
import { createScriptedModel } from '../../demo/scripted-model.ts'
import { jsonOf, MAIN, type RunningCommand, runCommand, startCommand } from './command.ts'

const FIELDS = [
  ...['sessionId', 'status', 'branch', 'commit', 'filesChanged', 'insertions', 'deletions'],
  ...['durationMs', 'phases', 'model', 'isolation', 'url'],
]
const PHASES = ['fetch', 'sandbox', 'checkout', 'agent']
const CGROUPS = '/sys/fs/cgroup'

let folder: string
let runtimeFolders: string[]
let cgroups: string[]

beforeEach(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'errand-demo-test-')))
  runtimeFolders = await namesIn('/run/errand')
  cgroups = await emptyCgroups()
})
afterEach(() => rm(folder, { recursive: true, force: true }))

/** The demo makes its own folder beside this one. */
const env = () => ({ ERRAND_DATA: join(folder, 'data') })

const namesIn = (path: string) => readdir(path).catch(() => [] as string[])

/** Control groups of sandboxes in which nothing runs. */
async function emptyCgroups(): Promise<string[]> {
  const found: string[] = []
  for (const name of ['', ...(await namesIn(CGROUPS))]) {
    const parent = join(CGROUPS, name, 'errand')
    for (const sandbox of await namesIn(parent)) {
      if (!sandbox.startsWith('s_')) continue
      const path = join(parent, sandbox)
      const processes = await readFile(join(path, 'cgroup.procs'), 'utf8').catch(() => 'gone')
      if (processes === '') found.push(path)
    }
  }
  return found
}

/** Processes that were started with a path of the demo, or see one in their mounts. */
async function processesOfDemo(): Promise<string[]> {
  const pids = (await namesIn('/proc')).filter((name) => /^\d+$/.test(name))
  const found = await Promise.all(
    pids.map(async (pid) => {
      const [command, mounts] = await Promise.all(
        ['cmdline', 'mountinfo'].map((file) =>
          readFile(`/proc/${pid}/${file}`, 'utf8').catch(() => ''),
        ),
      )
      const isOurs = Number(pid) !== process.pid && `${command}${mounts}`.includes(folder)
      return isOurs ? [`${pid} ${command?.replaceAll('\0', ' ')}`] : []
    }),
  )
  return found.flat()
}

async function loopDevicesOfDemo(): Promise<string[]> {
  const devices = (await namesIn('/sys/block')).filter((name) => name.startsWith('loop'))
  const files = await Promise.all(
    devices.map((name) => readFile(`/sys/block/${name}/loop/backing_file`, 'utf8').catch(() => '')),
  )
  return files.filter((file) => file.includes(folder))
}

/** Runtime folders that are new and that nobody uses: other Errands of this machine may start meanwhile. */
async function abandonedRuntimeFolders(): Promise<string[]> {
  const fresh = (await namesIn('/run/errand')).filter((name) => !runtimeFolders.includes(name))
  const used = await Promise.all(
    fresh.map(async (name) => {
      const pid = await readFile(`/run/errand/${name}/up.pid`, 'utf8').catch(() => '')
      return pid !== '' && (await namesIn(`/proc/${pid}`)).length > 0
    }),
  )
  return fresh.filter((_, index) => !used[index])
}

async function expectNothingLeft(): Promise<void> {
  expect(await namesIn(folder)).toEqual([])
  expect(await processesOfDemo()).toEqual([])
  expect(await loopDevicesOfDemo()).toEqual([])
  // Sandboxes of others may just be ending: what is ours stays, what is theirs goes.
  const left = async () => [
    ...(await emptyCgroups()).filter((path) => !cgroups.includes(path)),
    ...(await abandonedRuntimeFolders()),
  ]
  await expect.poll(left, { timeout: 20_000 }).toEqual([])
}

describe('errand demo', () => {
  it('prints one object with --json, beside another one that uses the model of the key that is set', async () => {
    const key = 'sk-demo-key'
    const model = await createScriptedModel({ scenarios: loadScenarios(), requireKey: key })
    const live = { ANTHROPIC_API_KEY: key, ANTHROPIC_BASE_URL: model.url }
    try {
      const results = await Promise.all(
        [{}, live].map((set) => runCommand(['demo', '--json'], { env: { ...env(), ...set } })),
      )
      for (const { exitCode, stderr } of results) expect(exitCode, stderr).toBe(0)
      const [ended = {}, other = {}] = results.map((result) =>
        jsonOf<Record<string, unknown>>(result),
      )
      expect(Object.keys(ended)).toEqual(FIELDS)
      expect(ended).toMatchObject({ status: 'idle', model: 'scripted', filesChanged: 1 })
      expect(ended).toMatchObject({ insertions: 1, deletions: 1 })
      expect(ended.sessionId).toMatch(/^s_[a-z2-7]{20}$/)
      expect(ended.branch).toMatch(/^errand\/make-the-failing-test-pass(-\d+)?$/)
      expect(ended.commit).toMatch(/^[0-9a-f]{40}$/)
      expect(ended.durationMs).toBeGreaterThan(0)
      expect(ended.phases).toEqual(PHASES.map((name) => ({ name, ms: expect.any(Number) })))
      expect(ended.isolation).toMatch(/^container: .*user namespace.* CPU/)
      expect(ended.url).toBe(`${new URL(ended.url as string).origin}/sessions/${ended.sessionId}`)
      expect(other).toMatchObject({ model: 'live' })
      expect(model.requests.length).toBeGreaterThan(0)
      expect(other.sessionId).not.toBe(ended.sessionId)
      expect(other.url).not.toBe(ended.url)
    } finally {
      await model.close()
    }
    await expectNothingLeft()
  })

  it('shows a person what happens and what came of it', async () => {
    const { exitCode, stdout, stderr } = await runCommand(['demo'], { env: env() })
    expect(exitCode, stderr).toBe(0)
    expect(stdout.split('\n')[0]).toMatch(/scripted/)
    for (const phase of PHASES) expect(stdout).toMatch(new RegExp(`^✓ ${phase} \\d`, 'm'))
    expect(stdout).toContain('› make the failing test pass')
    expect(stdout).toMatch(
      /▸ Bash {2}node --test.*✕\n[\s\S]*▸ Edit [\s\S]*▸ Bash {2}node --test.*✓/,
    )
    expect(stdout).toMatch(/^branch {3}errand\//m)
    expect(stdout).toMatch(/^commit {3}[0-9a-f]{40}$/m)
    expect(stdout).toMatch(/^model {4}\d+ requests, \d+ tokens in, \d+ out, [\d.]+ USD$/m)
    expect(stdout).toMatch(/^sandbox {2}container: /m)
    expect(stdout).toMatch(/^page {5}http:\/\/127\.0\.0\.1:\d+\/sessions\/s_/m)
    expect(stdout).toMatch(/^tests {4}pass on a fresh clone/m)
    expect(stdout).toContain('+  if (quantity >= DISCOUNT_FROM) {')
    expect(stdout).not.toContain('errand diff')
    await expectNothingLeft()
  })

  it('fails when the fix is taken out of the scenario', async () => {
    const result = await runCommand(['demo', '--scenario', 'no-fix', '--json'], { env: env() })
    expect(result.exitCode).toBe(1)
    expect(Object.keys(jsonOf<object>(result))).toEqual(FIELDS)
    expect(result.stderr).toContain('fail with exit code')
    await expectNothingLeft()
  })
})

describe('Ctrl-C', () => {
  const interruptAt = async (pattern: RegExp): Promise<RunningCommand> => {
    const running = startCommand(['demo', '--scenario', 'fix-failing-test'], { env: env() })
    await running.said(pattern)
    running.interrupt()
    return running
  }

  it.each([
    ['while Errand starts', /^Model:/],
    ['while the sandbox is prepared', /^session s_/m],
    ['while the agent works', /▸ Edit/],
    ['while the tests run again', /^page/m],
  ])('%s takes everything away', async (_, pattern) => {
    const running = await interruptAt(pattern)
    expect(await running.ended(), running.stderr()).toBe(130)
    expect(running.stdout()).not.toContain('goes on without this terminal')
    expect(running.stderr()).not.toMatch(/\n\s+at /)
    await expectNothingLeft()
  })

  it('ends the demo that stays for a person at a terminal', async () => {
    const program = ['script', '--quiet', '--flush', '--return', '--command']
    const running = startCommand([`exec ${process.execPath} ${MAIN} demo`, '/dev/null'], {
      program,
      env: { ...env(), TERM: 'xterm', SHELL: '/bin/sh' },
    })
    await running.said(/Ctrl-C ends the demo/)
    const [, loginUrl = ''] = /Look around: (\S+)/.exec(running.stdout()) ?? []
    const login = await fetch(loginUrl, { redirect: 'manual' })
    expect(login.headers.getSetCookie()).not.toEqual([])
    running.type('\x03')
    expect(await running.ended()).toBe(0)
    await expectNothingLeft()
  })
})
