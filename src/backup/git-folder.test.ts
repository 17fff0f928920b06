import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { runChecked } from '../lib/process.ts'
import { packRepositories, unpackRepositories } from './git-folder.ts'

const IDENTITY = ['-c', 'user.name=A', '-c', 'user.email=a@example.com']
let folder: string
let from: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'errand-backup-git-'))
  from = join(folder, 'git')
  for (const name of ['sessions', 'uploads', 'mirrors', 'home', 'tmp', 'backup', 'other'])
    await mkdir(join(name === 'backup' || name === 'other' ? folder : from, name), {
      recursive: true,
    })
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const git = async (directory: string, ...args: string[]) =>
  (await runChecked('git', ['-C', directory, ...IDENTITY, ...args])).trim()

/** A session that borrows from a mirror, with a branch whose name looks like a folder of git. */
async function makeSession(): Promise<string> {
  const work = join(folder, 'work')
  await runChecked('git', ['init', '--quiet', '-b', 'main', work])
  await git(work, 'commit', '--quiet', '--allow-empty', '-m', 'first')
  const mirror = join(from, 'mirrors', `${'a'.repeat(40)}.git`)
  await runChecked('git', ['clone', '--quiet', '--bare', work, mirror])
  const session = join(from, 'sessions', `s_${'a'.repeat(20)}.git`)
  await runChecked('git', ['clone', '--quiet', '--bare', '--shared', mirror, session])
  await writeFile(
    join(session, 'objects/info/alternates'),
    `../../../mirrors/${'a'.repeat(40)}.git/objects\n`,
  )
  await writeFile(join(work, 'file'), 'content')
  await git(work, 'add', '.')
  await git(work, 'commit', '--quiet', '-m', 'second')
  await git(work, 'push', '--quiet', session, 'HEAD:refs/heads/objects/work')
  await writeFile(join(session, 'errand.json'), '{}')
  await writeFile(join(from, 'tmp/left-over'), '')
  return git(work, 'rev-parse', 'HEAD')
}

it('brings repositories back with what they borrow, and nothing that was unfinished', async () => {
  const commit = await makeSession()
  const session = join('sessions', `s_${'a'.repeat(20)}.git`)
  await mkdir(join(from, session, 'objects/tmp_objdir-incoming-x'))
  await writeFile(join(from, session, 'HEAD.lock'), '')
  await packRepositories(from, join(folder, 'backup'))
  await rename(from, join(folder, 'before'))
  const to = join(folder, 'other')
  await unpackRepositories(join(folder, 'backup'), to)
  expect(await git(join(to, session), 'rev-parse', 'refs/heads/objects/work')).toBe(commit)
  await git(join(to, session), 'fsck', '--strict')
  expect(await git(join(to, session), 'log', '--format=%s', commit)).toBe('second\nfirst')
  const files = await runChecked('find', [to, '-name', '*.lock', '-o', '-name', 'tmp*'])
  expect(files).toBe('')
})

it('is made of a folder in which nothing was done yet', async () => {
  await packRepositories(from, join(folder, 'backup'))
  await unpackRepositories(join(folder, 'backup'), join(folder, 'other'))
  expect(await runChecked('ls', [join(folder, 'other')])).toBe('mirrors\nsessions\nuploads\n')
})
