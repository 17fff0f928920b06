// Which large files of a repository on this disk are sent, with a git that only says which there are and what it is asked.
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import type { Connection } from '../deps.ts'
import { createGit } from './git.ts'
import { pushLargeFiles } from './large-files.ts'

const COUNT = 20_000
const GIT = `#!/bin/sh
case "$*" in
grep*) exit 0 ;;
'lfs ls-files'*) exec cat "$LISTED" ;;
*) echo "$*" >>"$ASKED" ;;
esac
`

it('are all of them, however many', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'errand-large-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const [git, listed, asked] = [join(folder, 'git'), join(folder, 'listed'), join(folder, 'asked')]
  const oids = Array.from({ length: COUNT }, (_, index) => index.toString(16).padStart(64, '0'))
  await writeFile(listed, oids.map((oid) => `${oid} * models/part-${oid}.bin\n`).join(''))
  await writeFile(git, GIT)
  await chmod(git, 0o755)
  const env = { PATH: `${folder}:/usr/bin:/bin`, LISTED: listed, ASKED: asked }
  const connection = { baseUrl: 'http://127.0.0.1:1', token: 'errand_t' } as Connection
  const files = { root: folder, commit: 'HEAD', url: 'http://127.0.0.1:1/up' }
  await pushLargeFiles(createGit(env), connection, env, files)
  const sent = new Set((await readFile(asked, 'utf8')).match(/\b[0-9a-f]{64}\b/g))
  expect(sent.size).toBe(COUNT)
})
