// A session with three repositories: one from this disk, one on a git host that it works on as well, and one there that it only
// reads. By the command line, in real sandboxes; counted at the far end. And one on a host that speaks ssh, with its submodules.
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createSampleRepository } from '../../demo/repository.ts'
import { startSsh } from '../../src/git/upstream/ssh.fixture.ts'
import { createWorkbench } from '../../src/git/upstream/upstream.fixture.ts'
import { delay } from '../../src/lib/deadline.ts'
import { runChecked, runProcess } from '../../src/lib/process.ts'
import { SAVED_WORK_REF } from '../../src/protocol/saved-refs.ts'
import { errorOf, runCommand } from './command.ts'
import { eventsOf, type Installation, startInstallation } from './installation.ts'
import { createIsland, type Island } from './island.ts'
import { runInside, toolOutputs, tryAll } from './transcript.ts'
import { gitEnvironment } from './upload.ts'
import { createPrivateUpstream, GIT_HOST, type PrivateUpstream } from './upstream.ts'

const CLOSED = { level: 'none' as const }

let island: Island
let lib: PrivateUpstream
let docs: PrivateUpstream
let errand: Installation
let folder: string
let cart: string
let id: string

const env = () => ({ ERRAND_URL: errand.url, ERRAND_TOKEN: errand.token })
const json = async (...args: string[]) =>
  JSON.parse((await runCommand([...args, '--json'], { env: env() })).stdout)

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'errand-several-'))
  cart = join(folder, 'cart')
  await createSampleRepository(cart)
  island = await createIsland({ hosts: { [GIT_HOST]: 'outside' } })
  lib = await createPrivateUpstream(island.outside)
  docs = await createPrivateUpstream(island.outside, 'another-Token-51bd0e77aa')
  await addHook(lib)
  errand = await startInstallation({
    island,
    env: {
      ERRAND_ALLOWED_NETWORKS: `${GIT_HOST}=${island.network}`,
      ERRAND_LOG_LEVEL: 'fatal',
    },
  })
})
afterAll(async () => {
  await errand?.stop()
  await Promise.all([lib?.remove(), docs?.remove()])
  await island?.remove()
  await rm(folder, { recursive: true, force: true })
})

/** Its branch `other` is called by its folder, and has a hook that says so. */
async function addHook(upstream: PrivateUpstream): Promise<void> {
  const { git, commit } = createWorkbench(folder)
  const clone = join(folder, 'hooked')
  await git(folder, ['clone', '--quiet', '--branch', 'other', upstream.directory, clone])
  const command = 'echo "export LIBRARY=$(basename $(pwd))" >> "$CLAUDE_ENV_FILE"'
  const hooks = { SessionStart: [{ hooks: [{ type: 'command', command }] }] }
  await mkdir(join(clone, '.claude'))
  await commit(clone, { '.claude/settings.json': JSON.stringify({ hooks }) }, 'Hook')
  await git(clone, ['push', '--quiet', 'origin', 'HEAD:other'])
}

async function untilSaved(repository: string, text: string): Promise<void> {
  const look = join(folder, 'look.git')
  await runChecked('git', ['init', '--quiet', '--bare', look])
  const url = `${errand.url}/api/v1/git/sessions/${id}${repository}`
  for (;;) {
    const fetch = ['-C', look, 'fetch', '--quiet', url, SAVED_WORK_REF]
    await runProcess('git', fetch, { env: gitEnvironment(errand.token) })
    const grep = ['-C', look, 'grep', '--quiet', '--fixed-strings', text, 'FETCH_HEAD']
    if ((await runProcess('git', grep)).exitCode === 0) return
    await delay(200)
  }
}

describe('a session with several repositories', () => {
  it('changes and pushes each, runs the hook of another one, and is refused by the one that it reads', async () => {
    const named = ['--repo', cart, '--repo', `${lib.urlWithCredential}@other`]
    const readOnly = ['--repo-read-only', docs.urlWithCredential]
    const result = await json('run', 'change all repositories', ...named, ...readOnly)
    id = result.sessionId
    const changed = { filesChanged: 1, insertions: 1, branch: result.branch }
    expect(result).toMatchObject({
      ...{ ...changed, outcome: 'completed', local: { branch: result.branch } },
      additional: [
        { ...changed, name: 'project', access: 'write', outward: { state: 'forwarded' } },
        { name: 'project-2', access: 'read', commit: null },
      ],
    })
    expect(await lib.git('log', '-1', '--format=%s', '--name-only', result.branch)).toBe(
      'change all repositories\n\nchanged.txt',
    )
    expect(Object.keys(await docs.refs())).not.toContain('refs/heads/mine')
    const events = await errand.follow(id, ({ body }) => body.type === 'turn.completed')
    const said = toolOutputs(events).join('\n')
    expect(said).toContain('reading only (repository_read_only)')
    expect(said).toContain('exit 128')
    expect(said).toContain('library is project')
    expect(eventsOf(events, 'push.accepted')).toHaveLength(2)
  })

  it('shows the changes of each, and brings each branch to where it belongs', async () => {
    const diff = await runCommand(['diff', id], { env: env() })
    expect(diff.stdout).toMatch(/^# cart\ndiff --git[\s\S]*\n# project\ndiff --git/)
    const clone = join(folder, 'project')
    await runChecked('git', ['clone', '--quiet', lib.directory, clone])
    await runChecked('git', ['-C', clone, 'remote', 'set-url', 'origin', lib.url])
    const fetched = await runCommand(['fetch', id, '--repo', clone], { env: env() })
    const tip = await lib.git('rev-parse', (await errand.client.getSession(id)).repository.branch)
    expect(fetched.stdout).toContain(`was created at ${tip.slice(0, 10)}`)
  })

  it('gives each its own credential and door, and opens none of another session', async () => {
    const door = 'http://errand.internal/git'
    const asked = [`${door}/project.git`, `${door}/absent.git`, `${door}/cart.git`]
    const heads = asked.map((url) => `git ls-remote --heads ${url} 2>&1 | head -1 | cut -c1-40`)
    const output = await runInside(errand, id, heads.join('; '))
    const [first, ...others] = output.trim().split('\n')
    expect(first).toMatch(/^[0-9a-f]{40}$/)
    expect(others.every((line) => line.startsWith('fatal:'))).toBe(true)
    const other = await errand.start(cart, 'true', { kind: 'command' })
    await errand.finish(other.id)
    const foreign = await runInside(errand, other.id, `git ls-remote ${door}/project.git 2>&1`)
    expect(foreign).toContain('fatal:')
    for (const { user, token, requests } of [lib, docs]) {
      const own = `Basic ${Buffer.from(`${user}:${token}`).toString('base64')}`
      const shown = requests.flatMap(({ authorization }) => authorization ?? [])
      expect(new Set(shown)).toEqual(new Set([own]))
    }
  })

  it('pushes to a further branch of another one once its owner has granted it, and never of one that is read', async () => {
    const branch = 'errand/further'
    const push = (name: string) =>
      runInside(errand, id, `git -C ../${name} push origin HEAD:${branch} 2>&1; echo exit $?`)
    const own = (await errand.client.getSession(id)).repository.branch
    const grant = ['grant', id, branch, '--repository']
    const refused = await push('project')
    expect(refused).toContain(
      `errand: this session may push to refs/heads/${own} only; refs/heads/${branch} was refused`,
    )
    const how = `errand grant ${id.slice(0, 8)} ${branch} --repository project`
    expect(refused).toContain(`errand: its owner may allow this branch as well: ${how}`)
    expect(refused).toMatch(/exit 1\n$/)
    expect(await lib.refs()).not.toHaveProperty([`refs/heads/${branch}`])

    const { stdout } = await runCommand([...grant, 'project'], { env: env() })
    expect(stdout).toContain(`may push in project to ${own}, ${branch}`)
    expect(await push('project')).toMatch(/exit 0\n$/)
    expect((await lib.refs())[`refs/heads/${branch}`]).toBe(await lib.git('rev-parse', own))
    const { events } = await errand.client.readEvents(id, { limit: 1000 })
    expect(eventsOf(events, 'push.accepted').at(-1)).toMatchObject({
      ...{ repository: 'project', ref: `refs/heads/${branch}`, outward: 'forwarded' },
    })

    const never = await runCommand([...grant, 'project-2', '--json'], { env: env() })
    expect(errorOf(never).reason).toBe('repository_read_only')
    expect(await push('project-2')).toContain('reading only (repository_read_only)')
    expect(await docs.refs()).not.toHaveProperty([`refs/heads/${branch}`])
  })

  it('comes back with what was not pushed in each when its sandbox is lost', async () => {
    await runInside(
      errand,
      id,
      'for f in . ../project ../project-2; do echo open > $f/open.txt; done',
    )
    await untilSaved('', 'open')
    await untilSaved('/repositories/project', 'open')
    const { lastSeq } = await errand.client.getSession(id)
    await errand.client.actOnSession(id, 'stop')
    await errand.follow(id, ({ body }) => body.type === 'sandbox.stopped', lastSeq)
    await rm(join(errand.dataDir, 'sandboxes', id, 'disk.img'))
    const look = 'for f in . ../project ../project-2; do git -C $f status --porcelain; echo =; done'
    expect(await runInside(errand, id, look)).toBe('?? open.txt\n=\n?? open.txt\n=\n=\n')
  })

  it('names every repository that cannot be had', async () => {
    const { user, token, url } = lib
    const absent = (name: string) =>
      url.replace('://', `://${user}:${token}@`).replace('project.git', `${name}.git`)
    const failed = await errand.start(cart, 'true', {
      kind: 'command',
      additional: ['one', 'two'].map((name) => ({ source: { kind: 'remote', url: absent(name) } })),
    })
    await errand.finish(failed.id)
    const { failure } = await errand.client.getSession(failed.id)
    expect(failure?.message).toMatch(/^one: .*\ntwo: /)
  })
})

describe('a session on an ssh repository', () => {
  it('has its submodules, and theirs, with the key of the host, and pushes its branch', async () => {
    const ssh = await startSsh(join(folder, 'ssh'), { host: island.outside, name: GIT_HOST })
    try {
      const urlOf = (name: string) => `${ssh.url}${dirname(lib.directory)}/${name}.git`
      await lib.copy('other/base')
      const middle = await lib.addWith('middle', { deep: '../other/base.git' })
      await lib.addWith(
        'app',
        { near: '../project.git', middle: urlOf('middle') },
        { pinned: { middle } },
      )
      await errand.client.createCredential({ host: GIT_HOST, kind: 'ssh', secret: ssh.key })
      const source = { kind: 'remote' as const, url: urlOf('app') }
      const started = { prompt: 'true', kind: 'command' as const, source, network: CLOSED }
      const { id: session } = await errand.client.createSession(started)
      expect(eventsOf(await errand.finish(session), 'session.failed')).toEqual([])
      const said = await tryAll(errand, session, {
        remote: 'git remote get-url origin; git config remote.origin.url',
        there: 'ls near/package.json middle/deep/package.json',
        fetch: 'git -C middle/deep fetch && echo fetched',
        push: 'git commit --quiet --allow-empty -m mine && git push && echo pushed',
        refused: 'git -C near push origin HEAD:refs/heads/mine',
        neighbour: `git ls-remote ${urlOf('app-old')}; git ls-remote ${urlOf('project-old')}`,
      })
      expect(said.remote).toBe(
        `http://errand.internal/git/repository/repository.git\n${urlOf('app')}`,
      )
      expect(said.there).toBe('middle/deep/package.json\nnear/package.json')
      expect(said.fetch).toContain('fetched')
      expect(said.push).toContain('pushed')
      expect(said.refused).toContain('reading only (submodule_read_only)')
      for (const name of ['app-old', 'project-old'])
        expect(said.neighbour).toContain(`${urlOf(name)} is no repository of this session`)
      const { branch } = (await errand.client.getSession(session)).repository
      const app = join(dirname(lib.directory), 'app.git')
      expect(await createWorkbench(folder).git(app, ['log', '-1', '--format=%s', branch])).toBe(
        'mine',
      )
    } finally {
      ssh.close()
    }
  })
})
