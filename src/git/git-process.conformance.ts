// How git ends: with its request, and without leaving anything behind that would stop the next one.
import { once } from 'node:events'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { createGit, endGit } from './git-process.ts'

it('takes its locks away when it is ended in the middle of writing a branch', async () => {
  const home = await mkdtemp(join(tmpdir(), 'errand-git-'))
  try {
    const git = createGit({ home, path: '/usr/local/bin:/usr/bin:/bin' })
    const repository = join(home, 'r.git')
    await git.text({ args: ['init', '--quiet', '--bare', repository] })
    const tree = await git.text({ args: ['-C', repository, 'mktree'], input: '' })
    const who = { name: 'A', email: 'a@example.org' }
    const env = {
      ...{ GIT_AUTHOR_NAME: who.name, GIT_AUTHOR_EMAIL: who.email },
      ...{ GIT_COMMITTER_NAME: who.name, GIT_COMMITTER_EMAIL: who.email },
    }
    const args = ['-C', repository, 'commit-tree', '-m', 'x', tree.trim()]
    const commit = await git.text({ args, env })
    const writing = git.start({ args: ['-C', repository, 'update-ref', '--stdin'] }, 'pipe')
    writing.stdin?.write(`start\ncreate refs/heads/x ${commit.trim()}\nprepare\n`)
    let said = ''
    while (!said.includes('prepare: ok')) {
      const [chunk] = (await once(writing.stdout ?? writing, 'data')) as [Buffer]
      said += chunk.toString()
    }
    const heads = join(repository, 'refs/heads')
    expect(await readdir(heads)).toEqual(['x.lock'])
    endGit(writing)
    await once(writing, 'close')
    expect(await readdir(heads)).toEqual([])
  } finally {
    await rm(home, { recursive: true, force: true })
  }
})

it('takes along what it has called and what does not want to end', async () => {
  const home = await mkdtemp(join(tmpdir(), 'errand-git-'))
  try {
    const git = createGit({ home, path: '/usr/local/bin:/usr/bin:/bin' })
    const ssh = join(home, 'ssh')
    await writeFile(ssh, `trap '' TERM; echo here >&2; exec sleep 1000\n`)
    const asked = new AbortController()
    const listing = git.run({
      args: ['ls-remote', 'ssh://forge.invalid/r'],
      env: { GIT_SSH_COMMAND: `sh ${ssh}`, GIT_SSH_VARIANT: 'simple' },
      protocols: 'ssh',
      signal: asked.signal,
      onLine: () => asked.abort(new Error('nobody waits any more')),
    })
    // Once nobody holds its pipes any more.
    await expect(listing).rejects.toThrow('nobody waits any more')
  } finally {
    await rm(home, { recursive: true, force: true })
  }
})
