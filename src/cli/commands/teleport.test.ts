import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { runChecked } from '../../lib/process.ts'
import type { SessionAnswer } from '../../protocol/api.ts'
import { SAVED_CONVERSATION_REF } from '../../protocol/saved-refs.ts'
import { createTestCli } from '../cli.fixture.ts'

const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
const ID = `s_${'a'.repeat(20)}`
const CONVERSATION = '11111111-2222-4333-8444-555555555555'
const BRANCH = 'errand/x'

let folder: string
let root: string
let server: string
let env: Record<string, string>
let session: unknown

const git = async (cwd: string, ...args: string[]) =>
  (await runChecked('git', args, { cwd, env })).trim()

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'errand-teleport-'))
  root = join(folder, 'project')
  env = { PATH, HOME: folder, GIT_AUTHOR_NAME: 'A', GIT_AUTHOR_EMAIL: 'a@b' }
  env = { ...env, GIT_COMMITTER_NAME: 'A', GIT_COMMITTER_EMAIL: 'a@b' }
  await git(folder, 'init', '--quiet', '--initial-branch=main', root)
  await writeFile(join(root, 'file'), 'one\n')
  await git(root, 'add', '.')
  await git(root, 'commit', '--quiet', '-m', 'first')
  server = join(folder, 'server/api/v1/git/sessions', ID)
  await git(folder, 'clone', '--quiet', '--bare', root, server)
  const commit = await git(root, 'rev-parse', 'HEAD')
  const repository = {
    name: 'project',
    url: '',
    branch: BRANCH,
    commit,
    source: { kind: 'upload' },
  }
  session = { id: ID, repository, additional: [], turn: null }
})
afterEach(() => rm(folder, { recursive: true }))

/** As the runner saves it: each file a folder of its pieces. */
async function save(files: Record<string, string | Buffer>, conversationId: string | null) {
  const work = await mkdtemp(join(folder, 'saved-'))
  await git(work, 'init', '--quiet')
  await writeFile(
    join(work, 'state.json'),
    JSON.stringify({ conversationId, checkout: '/workspace/project' }),
  )
  for (const [path, content] of Object.entries(files)) {
    await mkdir(join(work, 'files', path, '..'), { recursive: true })
    await writeFile(join(work, 'files', path), content)
  }
  await git(work, 'add', '.')
  await git(work, 'commit', '--quiet', '-m', 'saved')
  await git(work, 'push', '--quiet', server, `HEAD:${SAVED_CONVERSATION_REF}`)
}

async function work() {
  await git(root, 'switch', '--quiet', '-c', 'there')
  await writeFile(join(root, 'file'), 'two\n')
  await git(root, 'commit', '--quiet', '-am', 'second')
  await git(root, 'push', '--quiet', server, `there:refs/heads/${BRANCH}`)
  await git(root, 'switch', '--quiet', 'main')
  await git(root, 'branch', '--quiet', '-D', 'there')
}

function createCli(cwd = root) {
  const getSession = async () => session as SessionAnswer
  return createTestCli({ client: { getSession }, baseUrl: `file://${folder}/server`, cwd, env })
}

const line = (fields: object) => `${JSON.stringify({ sessionId: CONVERSATION, ...fields })}\n`
const PROJECT = `projects/-workspace-project/${CONVERSATION}.jsonl`

describe('errand teleport', () => {
  it('checks the branch out and leaves a conversation to resume', async () => {
    await work()
    const text = Buffer.from(
      line({ type: 'user', uuid: '1', cwd: '/workspace/project', message: { content: 'größer' } }) +
        line({ type: 'assistant', uuid: '2', parentUuid: '1', cwd: '/workspace/project' }),
    )
    // In the middle of a character.
    const cut = text.indexOf('ö') + 1
    const pieces = { '000000': text.subarray(0, cut), '000001': text.subarray(cut) }
    await save(
      Object.fromEntries(Object.entries(pieces).map(([n, piece]) => [`${PROJECT}/${n}`, piece])),
      CONVERSATION,
    )
    const cli = createCli()
    expect(await cli.run('teleport', 'aaaa', '--json'), cli.stderr.text()).toBe(0)
    const said = JSON.parse(cli.stdout.text())
    expect(await git(root, 'branch', '--show-current')).toBe(BRANCH)
    expect(said).toMatchObject({ sessionId: ID, folder: root, branch: BRANCH })
    expect(said.commit).toBe(await git(root, 'rev-parse', 'HEAD'))
    expect(said.conversationId).not.toBe(CONVERSATION)
    const name = root.replace(/[^A-Za-z0-9]/g, '-')
    expect(said.file).toBe(join(folder, '.claude/projects', name, `${said.conversationId}.jsonl`))
    const here = { cwd: root, sessionId: said.conversationId }
    expect(
      (await readFile(said.file, 'utf8'))
        .trim()
        .split('\n')
        .map((one) => JSON.parse(one)),
    ).toEqual([
      { type: 'user', uuid: '1', message: { content: 'größer' }, ...here },
      { type: 'assistant', uuid: '2', parentUuid: '1', ...here },
    ])
    expect((await stat(said.file)).mode & 0o777).toBe(0o600)
    expect(await git(root, 'for-each-ref', '--format=%(refname)', 'refs/errand')).toBe('')
  })

  it('speaks of the files that are here, but for what the model has signed', async () => {
    const thinking = { type: 'thinking', thinking: 'in /workspace/project', signature: 's' }
    const content = (at: string) => [
      thinking,
      { type: 'tool_use', name: 'Read', input: { file_path: `${at}/file` } },
      { type: 'text', text: `${at}: /workspace/project-2/file and /workspace/project.old` },
    ]
    const message = { content: content('/workspace/project') }
    await save({ [`${PROJECT}/000000`]: line({ type: 'assistant', message }) }, CONVERSATION)
    const cli = createCli()
    expect(await cli.run('teleport', 'aaaa', '--json'), cli.stderr.text()).toBe(0)
    const { file } = JSON.parse(cli.stdout.text())
    expect(JSON.parse(await readFile(file, 'utf8')).message.content).toEqual(content(root))
  })

  it('goes on where git makes repositories of another format', async () => {
    await save({ [`${PROJECT}/000000`]: line({ type: 'user', uuid: '1' }) }, CONVERSATION)
    env.GIT_DEFAULT_HASH = 'sha256'
    const cli = createCli()
    expect(await cli.run('teleport', 'aaaa'), cli.stderr.text()).toBe(0)
  })

  it('takes nothing that would say what the agent may do here, or touch files', async () => {
    const other = '99999999-2222-4333-8444-555555555555'
    const transcript =
      line({ type: 'mode', mode: 'bypass' }) +
      line({ type: 'file-history-snapshot', snapshot: {} }) +
      line({ type: 'worktree-state', path: '/etc' }) +
      line({ type: 'user', permissionMode: 'bypassPermissions', uuid: '1' }) +
      '{"type":"user","uuid":"2"'
    await save(
      {
        [`${PROJECT}/000000`]: transcript,
        [`projects/-workspace-project/${other}.jsonl/000000`]: line({ type: 'user', uuid: '3' }),
      },
      CONVERSATION,
    )
    const cli = createCli()
    expect(await cli.run('teleport', 'aaaa', '--json'), cli.stderr.text()).toBe(0)
    const { file, conversationId, branch } = JSON.parse(cli.stdout.text())
    expect(branch).toBeNull()
    expect(await git(root, 'branch', '--show-current')).toBe('main')
    const lines = (await readFile(file, 'utf8')).trim().split('\n')
    const kept = { type: 'user', uuid: '1', cwd: root, sessionId: conversationId }
    expect(lines.map((one) => JSON.parse(one))).toEqual([kept])
  })

  it('loses nothing that is not committed', async () => {
    await work()
    await save({ [`${PROJECT}/000000`]: line({ type: 'user' }) }, CONVERSATION)
    await writeFile(join(root, 'file'), 'mine\n')
    const cli = createCli()
    expect(await cli.run('teleport', 'aaaa')).toBe(6)
    expect(cli.stderr.text()).toContain('(uncommitted_changes)')
    expect(await readFile(join(root, 'file'), 'utf8')).toBe('mine\n')
    expect(await git(root, 'branch', '--show-current')).toBe('main')
  })

  it('says where it cannot be: in another repository, and before a first turn', async () => {
    const other = join(folder, 'other')
    await git(folder, 'init', '--quiet', other)
    await git(other, 'commit', '--quiet', '--allow-empty', '-m', 'unlike')
    expect(await createCli(other).run('teleport', 'aaaa')).toBe(6)
    const cli = createCli()
    expect(await cli.run('teleport', 'aaaa')).toBe(5)
    expect(cli.stderr.text()).toContain('(conversation_not_saved)')
    await save({}, null)
    expect(await createCli().run('teleport', 'aaaa')).toBe(5)
  })
})
