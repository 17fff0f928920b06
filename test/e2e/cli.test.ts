// The command line on a running installation, as separate processes: what it prints, how it ends, what it leaves alone.
import { createHash, randomBytes } from 'node:crypto'
import { appendFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createSampleRepository } from '../../demo/repository.ts'
import type { RunResult } from '../../src/cli/result.ts'
import { runChecked } from '../../src/lib/process.ts'
import type { SessionSummary } from '../../src/protocol/api.ts'
import type { SessionEvent } from '../../src/protocol/event.ts'
import type { SessionState } from '../../src/protocol/session.ts'
import { errorOf, jsonOf, runCommand, startCommand } from './command.ts'
import { type Installation, startInstallation } from './installation.ts'

const FIX = 'make the failing test pass'

let errand: Installation
let folder: string
let repository: string
let count = 0

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'errand-cli-'))
  errand = await startInstallation()
})
afterAll(async () => {
  await errand.stop()
  await rm(folder, { recursive: true, force: true })
})
beforeEach(async () => {
  repository = join(folder, `cart-${++count}`)
  await createSampleRepository(repository)
})

const reach = () => ({ ERRAND_URL: errand.url, ERRAND_TOKEN: errand.token })
const run = (args: string[], cwd = repository) => runCommand(args, { cwd, env: reach() })
const json = async <T>(...args: string[]): Promise<T> => {
  const result = await run([...args, '--json'])
  expect(result.exitCode, result.stdout + result.stderr).toBe(0)
  return jsonOf<T>(result)
}
const refusal = async (...args: string[]) => errorOf(await run([...args, '--json']))
const git = async (...args: string[]) =>
  (await runChecked('git', ['-C', repository, ...args])).trim()

const sha256 = (content: Buffer) => createHash('sha256').update(content).digest('hex')

/** Everything that a person would call "my repository". */
async function photograph(): Promise<Record<string, string>> {
  const index = await readFile(join(repository, '.git/index'))
  return {
    head: await readFile(join(repository, '.git/HEAD'), 'utf8'),
    commit: await git('rev-parse', 'HEAD'),
    index: sha256(index),
    status: await git('--no-optional-locks', 'status', '--porcelain', '--untracked-files=all'),
    code: await readFile(join(repository, 'src/cart.js'), 'utf8'),
    config: await readFile(join(repository, '.git/config'), 'utf8'),
  }
}

describe('run on a repository of this disk', () => {
  it('fetches the branch back and leaves work tree, index and configuration alone, from a subfolder too', async () => {
    const before = await photograph()
    const result = await run(['run', FIX, '--json'], join(repository, 'src'))
    expect(result.exitCode, result.stderr).toBe(0)
    const ended = jsonOf<RunResult>(result)
    expect(ended).toMatchObject({ status: 'idle', outcome: 'completed', filesChanged: 1 })
    expect(ended).toMatchObject({ insertions: 1, deletions: 1, error: null, leftOut: [] })
    expect(ended.phases.map(({ name }) => name)).toContain('checkout')
    expect(await git('rev-parse', ended.branch ?? '')).toBe(ended.commit)
    expect(await git('diff', '--stat', `HEAD...${ended.branch}`)).toContain('src/cart.js')
    expect(await photograph()).toEqual(before)
    expect(await git('for-each-ref', '--format=%(refname)', 'refs/errand')).toBe('')
  })

  it('tells a person about phases, tools, branch, changes, cost and the page', async () => {
    const { exitCode, stdout, stderr } = await run(['run', FIX, '--repo', repository], '/')
    expect(exitCode, stderr).toBe(0)
    expect(stderr).toBe('')
    for (const part of ['fetch', 'sandbox', 'checkout', 'agent'])
      expect(stdout).toMatch(new RegExp(`✓ ${part} \\d`))
    expect(stdout).toMatch(/▸ Edit {2}\/workspace\/cart-\d+\/src\/cart\.js/)
    expect(stdout).toMatch(
      /^branch {3}errand\/make-the-failing-test-pass(?:-\d+)? {2}\([0-9a-f]{10}\)$/m,
    )
    expect(stdout).toMatch(/^changes {2}1 file, \+1 −1$/m)
    expect(stdout).toMatch(/^model {4}\d+ requests, \d+ tokens in, \d+ out, [\d.]+ USD$/m)
    expect(stdout).toContain(`${errand.url}/sessions/s_`)
  })

  it('names what is not committed and leaves it out', async () => {
    await appendFile(join(repository, 'README.md'), '\nmore words\n')
    await writeFile(join(repository, 'notes.txt'), 'mine\n')
    const before = await photograph()
    const result = await run(['run', FIX, '--json'])
    const ended = jsonOf<RunResult>(result)
    expect(ended.leftOut.sort()).toEqual(['README.md', 'notes.txt'])
    expect(result.stderr).toContain('Not committed and left out: README.md, notes.txt')
    expect(result.stderr).toContain('--include-uncommitted')
    expect(await git('ls-tree', '--name-only', ended.branch ?? '')).not.toContain('notes.txt')
    expect(await photograph()).toEqual(before)
  })

  it('takes what is not committed along with --include-uncommitted', async () => {
    await appendFile(join(repository, 'README.md'), '\nmore words\n')
    await writeFile(join(repository, 'notes.txt'), 'mine\n')
    const before = await photograph()
    const ended = await json<RunResult>('run', FIX, '--include-uncommitted')
    expect(ended).toMatchObject({ leftOut: [], filesChanged: 1 })
    expect(await git('show', `${ended.branch}:notes.txt`)).toBe('mine')
    expect(await git('show', `${ended.branch}:README.md`)).toContain('more words')
    expect(await photograph()).toEqual(before)
  })

  it('takes large files (LFS) along and brings those of the branch back', async () => {
    const commit = ['-c', 'user.name=A', '-c', 'user.email=a@example.com', 'commit', '--quiet']
    await git('lfs', 'install', '--local')
    await git('lfs', 'track', '*.bin')
    const mine = randomBytes(300_000)
    await writeFile(join(repository, 'mine.bin'), mine)
    await git('add', '.')
    await git(...commit, '-m', 'Large')
    await writeFile(join(repository, 'not-committed.bin'), mine)
    const before = await photograph()
    const script = [
      'git lfs install --local && git lfs pull && sha256sum mine.bin not-committed.bin',
      "head -c 400000 /dev/urandom > theirs.bin && git add . && git commit --quiet -m 'Theirs'",
      'sha256sum theirs.bin && git push --quiet origin HEAD',
    ].join(' && ')
    const result = await run(['run', script, '--command', '--include-uncommitted', '--json'])
    expect(result.exitCode, result.stderr).toBe(0)
    const { branch, sessionId } = jsonOf<RunResult>(result)
    const { events } = await errand.client.readEvents(sessionId, { limit: 1000 })
    const said = JSON.stringify(events)
    for (const name of ['mine.bin', 'not-committed.bin'])
      expect(said).toContain(`${sha256(mine)}  ${name}`)
    const [, oid = ''] = /oid sha256:(\w+)/.exec(await git('show', `${branch}:theirs.bin`)) ?? []
    expect(said).toContain(`${oid}  theirs.bin`)
    const kept = join(repository, '.git/lfs/objects', oid.slice(0, 2), oid.slice(2, 4), oid)
    expect(sha256(await readFile(kept))).toBe(oid)
    expect(await photograph()).toEqual(before)
  })

  it('starts from the branch that is named', async () => {
    await git('branch', 'release')
    await writeFile(join(repository, 'later.txt'), 'later\n')
    await git('add', 'later.txt')
    await git('-c', 'user.name=A', '-c', 'user.email=a@example.com', 'commit', '-qm', 'Later')
    const ended = await json<RunResult>('run', FIX, '--branch', 'release')
    expect(await git('ls-tree', '--name-only', ended.branch ?? '')).not.toContain('later.txt')
    expect(await git('merge-base', 'release', ended.branch ?? '')).toBe(
      await git('rev-parse', 'release'),
    )
  })

  it('ends with the exit code of a command', async () => {
    const { exitCode, stdout } = await run(['run', '--command', 'echo here; exit 7'])
    expect(exitCode).toBe(7)
    expect(stdout).toContain('here')
  })
})

describe('letting go and coming back', () => {
  it('lets go of it with --detach; logs, show, sessions, diff and fetch find it again', async () => {
    const { sessionId, branch } = await json<RunResult>('run', FIX, '--detach')
    expect(branch).toBeNull()
    const short = sessionId.slice(2, 8)
    const following = startCommand(['logs', short, '--follow', '--after', '2', '--json'], {
      env: reach(),
    })
    await following.said(/"changes\.measured"|\.failed"/)
    following.interrupt()
    expect(await following.ended()).toBe(0)
    const followed = following
      .stdout()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as SessionEvent)
    expect(followed.map(({ seq }) => seq)).toEqual(followed.map((_, index) => index + 3))

    const { stdout } = await run(['logs', sessionId, '--json'])
    const stored = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as SessionEvent)
    expect(stored.slice(2, followed.length + 2)).toEqual(followed)
    expect((await run(['logs', short])).stdout).toContain('✓ done')

    const state = await json<SessionState>('show', short)
    expect(state).toMatchObject({ id: sessionId, status: 'idle' })
    expect((await run(['show', short])).stdout).toMatch(/^status {7}idle$/m)
    const sessions = await json<SessionSummary[]>('sessions')
    expect(sessions.map(({ id }) => id)).toContain(sessionId)
    expect((await run(['sessions'])).stdout).toContain(sessionId.slice(0, 8))
    expect(await json('diff', short)).toMatchObject({ insertions: 1, deletions: 1 })
    expect((await run(['diff', short])).stdout).toContain('+  if (quantity >= DISCOUNT_FROM) {')
    const fetched = await json<{ branch: string; commit: string }>('fetch', short)
    expect(await git('rev-parse', fetched.branch)).toBe(fetched.commit)
  })

  it('lets go of it with Ctrl-C, says how to come back, and the session goes on', async () => {
    const running = startCommand(['run', 'wait in a command', '--repo', repository], {
      env: reach(),
    })
    await running.said(/I'll wait for a file/)
    running.interrupt()
    expect(await running.ended()).toBe(0)
    const [, id = ''] = /^session (s_\w+)/m.exec(running.stdout()) ?? []
    expect(running.stdout()).toContain(`errand logs ${id} --follow`)
    expect(running.stdout()).toContain(`errand fetch ${id}`)
    expect(await json('show', id)).toMatchObject({ status: 'working' })

    expect(await json('interrupt', id)).toMatchObject({ id: expect.stringContaining(id) })
    const { id: sessionId } = await json<SessionState>('show', id)
    await errand.finish(sessionId)
    expect(await json('show', id)).toMatchObject({ lastTurn: { outcome: 'interrupted' } })
  })
})

describe('a session in the hands of the command line', () => {
  it('is asked, answers, takes a message, is stopped, archived and removed', async () => {
    const asked = await run(['run', 'add a currency sign', '--json'])
    expect(asked.exitCode).toBe(6)
    const { sessionId, status, questions } = jsonOf<RunResult>(asked)
    expect(status).toBe('waiting')
    expect(questions).toHaveLength(1)
    expect((await run(['sessions'])).stdout).toMatch(/needs you/)
    expect((await run(['show', sessionId])).stdout).toMatch(/◆ .*\n\s+1 {2}/)
    expect(await refusal('answer', sessionId)).toMatchObject({ reason: 'answer_missing' })
    expect(await refusal('answer', sessionId, '1', '2')).toMatchObject({
      reason: 'answer_unfitting',
    })
    await json('answer', sessionId, '1')
    const events = await errand.finish(sessionId)
    expect(events.map(({ body }) => body.type)).toContain('question.answered')
    expect(await refusal('answer', sessionId, '1')).toMatchObject({ reason: 'question_not_found' })

    const sent = await json<RunResult>('send', sessionId, 'how does the discount work?')
    expect(sent).toMatchObject({ outcome: 'completed', status: 'idle' })
    const shown = await run(['send', sessionId, 'how does the discount work?'])
    expect(shown.stdout).toContain('› how does the discount work?')
    expect(shown.stdout).not.toContain('› add a currency sign')

    await json('stop', sessionId)
    await errand.follow(sessionId, ({ body }) => body.type === 'sandbox.stopped')
    await json('archive', sessionId)
    expect(await json<SessionSummary[]>('sessions')).not.toContainEqual(
      expect.objectContaining({ id: sessionId }),
    )
    expect(await json<SessionSummary[]>('sessions', '--all')).toContainEqual(
      expect.objectContaining({ id: sessionId }),
    )
    expect(await refusal('send', sessionId, 'more')).toMatchObject({ code: 'conflict' })
    expect(await json('rm', sessionId)).toEqual({ sessionId, removed: true })
    expect(await refusal('show', sessionId)).toMatchObject({ reason: 'session_not_found' })
  })
})

describe('ids', () => {
  it('may be shortened while they are clear', async () => {
    const uploaded = await errand.start(repository, 'true', { kind: 'command' })
    const ids = [uploaded.id]
    const twins = () => ids.find((id) => ids.some((other) => other !== id && other[2] === id[2]))
    // Thirty-three ids cannot all begin differently; those without their branch end at once.
    while (!twins())
      ids.push((await errand.start(repository, 'true', { baseBranch: 'missing' })).id)
    const letter = (twins() ?? '').slice(2, 3)
    expect(await refusal('show', letter)).toMatchObject({
      code: 'conflict',
      reason: 'ambiguous_id',
    })
    expect(await refusal('rm', letter)).toMatchObject({ code: 'conflict', reason: 'ambiguous_id' })
    for (const id of [
      uploaded.id,
      uploaded.id.slice(0, 10),
      uploaded.id.slice(2, 12).toUpperCase(),
    ])
      expect(await json('show', id)).toMatchObject({ id: uploaded.id })
    await Promise.all(ids.slice(1).map((id) => errand.client.removeSession(id)))
  })

  it('are refused when nobody has them or they are none', async () => {
    const unknown = { code: 'not_found', reason: 'session_not_found' }
    for (const command of ['show', 'logs', 'diff', 'rm', 'stop', 'interrupt', 'archive'])
      expect(await refusal(command, 's_22222222222222222222')).toMatchObject(unknown)
    expect(await refusal('send', '2222222', 'text')).toMatchObject(unknown)
    expect(await refusal('show', '../x')).toMatchObject({
      code: 'invalid',
      reason: 'session_id_invalid',
    })
  })
})

describe('what cannot be done', () => {
  const inFolder = async (name: string, ...commands: string[][]) => {
    const path = join(folder, `${name}-${count}`)
    await mkdir(path)
    for (const [command = '', ...args] of commands) await runChecked(command, args, { cwd: path })
    return path
  }

  it('is said in one sentence, with a reason and the exit code of its code', async () => {
    const nothing = await inFolder('nothing')
    const empty = await inFolder('empty', ['git', 'init', '--quiet'])
    const cases: [string[], string, string][] = [
      [['run', FIX, '--repo', nothing], 'not_found', 'no_repository'],
      [['run', FIX, '--repo', join(nothing, 'missing')], 'not_found', 'path_not_found'],
      [['run', FIX, '--repo', empty], 'invalid', 'empty_repository'],
      [['run', FIX, '--branch', 'missing'], 'not_found', 'branch_not_found'],
      [['run', FIX, '--branch', '--all'], 'invalid', 'branch_invalid'],
      [['run', '  '], 'invalid', 'prompt_empty'],
      [['run', FIX, '--environment', 'missing'], 'not_found', 'environment_not_found'],
      [['run', FIX, '--sandbox', 'missing'], 'invalid', 'driver_unknown'],
      [['run', FIX, '--network', 'custom'], 'invalid', 'domains_missing'],
      [['run', FIX, '--network', 'some'], 'invalid', 'usage'],
      [['run'], 'invalid', 'usage'],
      [['runn', FIX], 'invalid', 'usage'],
      [['logs', 's_2', '--after', 'x'], 'invalid', 'usage'],
    ]
    for (const [args, code, reason] of cases)
      expect({ args, ...(await refusal(...args)) }).toMatchObject({ args, code, reason })
  })

  it('is said of a repository far away as well', async () => {
    const result = await run(['run', FIX, '--repo', `${errand.url}/nothing.git`, '--json'])
    const { error, status } = jsonOf<RunResult>(result)
    expect(status).toBe('failed')
    expect(error?.message).toMatch(/\w/)
    expect(result.exitCode).toBeGreaterThan(0)
  })

  it('is said where no Errand runs or it does not let us in', async () => {
    const env = { ERRAND_DATA: join(folder, 'no-errand') }
    expect(errorOf(await runCommand(['sessions', '--json'], { env }))).toMatchObject({
      code: 'unavailable',
      reason: 'errand_not_running',
    })
    const wrong = { ERRAND_URL: errand.url, ERRAND_TOKEN: 'errand_wrong' }
    expect(errorOf(await runCommand(['sessions', '--json'], { env: wrong }))).toMatchObject({
      code: 'unauthenticated',
    })
    const none = { ERRAND_URL: errand.url }
    expect(errorOf(await runCommand(['sessions', '--json'], { env: none }))).toMatchObject({
      reason: 'token_missing',
    })
    const nobody = { ERRAND_URL: 'http://127.0.0.1:9', ERRAND_TOKEN: 'errand_x' }
    expect(errorOf(await runCommand(['sessions', '--json'], { env: nobody }))).toMatchObject({
      code: 'unavailable',
    })
  })
})

describe('people', () => {
  it('gives a new user a link that logs in once', async () => {
    const added = await json<{ loginLink: { url: string } }>('user', 'add', 'Ada Lovelace')
    expect(await json<{ name: string }[]>('user', 'list')).toContainEqual(
      expect.objectContaining({ name: 'Ada Lovelace' }),
    )
    const { url } = added.loginLink
    const first = await fetch(url, { redirect: 'manual' })
    expect(first.status).toBe(303)
    const cookie = first.headers
      .getSetCookie()
      .map((line) => line.split(';')[0])
      .join('; ')
    const mine = await fetch(`${errand.url}/api/v1/sessions`, { headers: { cookie } })
    expect(mine.status).toBe(200)
    expect(await mine.json()).toMatchObject({ sessions: [] })
    const second = await fetch(url, { redirect: 'manual' })
    expect(second.headers.get('location')).toBe('/?login=invalid')
    expect(second.headers.getSetCookie()).toEqual([])

    expect((await json<{ url: string }>('login')).url).toMatch(/\/login\?token=/)
    expect((await run(['user', 'add', 'Grace'])).stdout).toMatch(/\/login\?token=/)
    expect(await refusal('user', 'add', 'Grace')).toMatchObject({ code: 'conflict' })
    expect(await refusal('user', 'link', 'nobody@example.com')).toMatchObject({
      reason: 'user_not_found',
    })
  })

  it('prints nothing but JSON about tokens, credentials and environments', async () => {
    const token = await json<{ id: string; secret: string }>('token', 'add', 'ci')
    const env = { ERRAND_URL: errand.url, ERRAND_TOKEN: token.secret }
    expect((await runCommand(['sessions', '--json'], { env })).exitCode).toBe(0)
    await json('token', 'list')
    await json('token', 'rm', token.id)
    expect((await runCommand(['sessions', '--json'], { env })).exitCode).toBe(3)
    expect(await json('environment', 'list')).toContainEqual(
      expect.objectContaining({ name: 'Default' }),
    )
    expect(await json('credential', 'list')).toEqual([])
  })
})
