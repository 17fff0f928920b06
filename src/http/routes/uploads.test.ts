// Real git through the real port: the raw streams must arrive whole behind all the checks.
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { get, type IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createGunzip } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runChecked, runProcess } from '../../lib/process.ts'
import { startTestDatabase, type TestDatabase } from '../../store/postgres/database.fixture.ts'
import { type Caller, call, createTestApp, HOST, signIn, type TestApp } from '../app.fixture.ts'
import { createHttpApp } from '../app.ts'
import type { GitDoor } from '../deps.ts'
import { type Listening, listenHttp } from '../listen.ts'

let database: TestDatabase
let test: TestApp
let owner: Caller
let folder: string
let listening: Listening
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

beforeAll(async () => {
  database = await startTestDatabase()
  folder = await mkdtemp(join(tmpdir(), 'errand-http-'))
  test = await createTestApp(database)
  owner = await signIn(test, await test.deps.accounts.ensureOwner())
  listening = await listenHttp(createHttpApp({ ...test.deps, gitDoor }), {
    host: '127.0.0.1',
    port: 0,
  })
})
afterAll(async () => {
  await listening.close()
  await database.stop()
  await rm(folder, { recursive: true })
})

/** git's own services on a folder, as the real door runs them. */
const gitDoor: GitDoor = async ({ target, rest, access, incoming, outgoing }) => {
  const service = access === 'push' ? 'receive-pack' : 'upload-pack'
  const isAnnounced = rest.startsWith('info/refs')
  const args = [service, '--stateless-rpc', ...(isAnnounced ? ['--advertise-refs'] : [])]
  const child = spawn('git', [...args, join(folder, target.id)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const kind = isAnnounced ? 'advertisement' : 'result'
  outgoing.writeHead(200, { 'content-type': `application/x-git-${service}-${kind}` })
  if (isAnnounced) {
    const line = `# service=git-${service}\n`
    outgoing.write(`${(line.length + 4).toString(16).padStart(4, '0')}${line}0000`)
  }
  const input =
    incoming.headers['content-encoding'] === 'gzip' ? incoming.pipe(createGunzip()) : incoming
  input.pipe(child.stdin)
  child.stdout.pipe(outgoing)
  await new Promise((resolve) => outgoing.once('close', resolve))
}

function gitEnv(bearer: string): Record<string, string> {
  const headers = [`Authorization: Bearer ${bearer}`, `Host: ${HOST}`]
  const settings = headers.flatMap((header, index) => [
    [`GIT_CONFIG_KEY_${index}`, 'http.extraHeader'],
    [`GIT_CONFIG_VALUE_${index}`, header],
  ])
  const person = {
    GIT_AUTHOR_NAME: 'A',
    GIT_AUTHOR_EMAIL: 'a@b',
    GIT_COMMITTER_NAME: 'A',
    GIT_COMMITTER_EMAIL: 'a@b',
  }
  return {
    PATH,
    HOME: folder,
    GIT_TERMINAL_PROMPT: '0',
    GIT_CONFIG_COUNT: '2',
    ...person,
    ...Object.fromEntries(settings),
  }
}

describe('git over the API', () => {
  it('pushes a pack of many megabytes to an upload, and only its owner does', async () => {
    const made = await call(test, '/api/v1/uploads', {
      method: 'POST',
      as: owner,
      body: { name: 'r' },
    })
    const { id, gitPath } = (await made.json()) as { id: string; gitPath: string }
    const env = gitEnv(owner.bearer)
    await runChecked('git', ['init', '--quiet', '--bare', join(folder, id)], { env })
    const work = join(folder, 'work')
    await mkdir(work)
    const git = (...args: string[]) => runChecked('git', args, { cwd: work, env })
    await git('init', '--quiet', '--initial-branch=main')
    await writeFile(join(work, 'large'), randomBytes(8 * 1024 * 1024))
    await git('add', '.')
    await git('commit', '--quiet', '-m', 'large')
    const url = `http://127.0.0.1:${listening.port}${gitPath}`
    await git('push', '--quiet', url, 'HEAD:refs/heads/main')
    const pushed = await runChecked('git', ['-C', join(folder, id), 'rev-parse', 'main'], { env })
    expect(pushed).toBe(await git('rev-parse', 'HEAD'))

    const other = await signIn(
      test,
      await test.deps.accounts.addUser({ name: 'O', email: 'o@example.com', role: 'member' }),
    )
    for (const bearer of [other.bearer, 'errand_made-up']) {
      const push = ['push', url, 'HEAD:refs/heads/mine']
      const refused = await runProcess('git', push, { cwd: work, env: gitEnv(bearer) })
      expect(refused.exitCode).not.toBe(0)
    }
    const fetched = await runProcess('git', ['ls-remote', url], { cwd: work, env })
    expect(fetched.stderr).toContain('403')
  })

  it('fetches the branch of a session', async () => {
    const source = { kind: 'remote', url: 'https://example.com/r' }
    const body = { prompt: 'x', source }
    const made = await call(test, '/api/v1/sessions', { method: 'POST', as: owner, body })
    const { id } = (await made.json()) as { id: string }
    const env = gitEnv(owner.bearer)
    await runChecked(
      'git',
      ['clone', '--quiet', '--bare', join(folder, 'work'), join(folder, id)],
      { env },
    )
    const url = `http://127.0.0.1:${listening.port}/api/v1/git/sessions/${id}`
    await runChecked('git', ['clone', '--quiet', url, join(folder, 'clone')], { env })
    const refused = await runProcess('git', ['push', url, 'HEAD:refs/heads/x'], {
      cwd: join(folder, 'clone'),
      env,
    })
    expect(refused.stderr).toContain('403')
    const headers = { host: HOST, authorization: `Bearer ${owner.bearer}` }
    const asked = get(`${url}/info/refs?service=git-upload-pack`, { headers, agent: false })
    const [answer] = (await once(asked, 'response')) as [IncomingMessage]
    answer.resume()
    expect(answer.headers).toMatchObject({
      'content-type': 'application/x-git-upload-pack-advertisement',
      'content-security-policy': expect.stringContaining("default-src 'none'"),
      'x-content-type-options': 'nosniff',
      'cache-control': 'no-store',
    })
  })
})
