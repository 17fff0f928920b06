// Work trees of large repositories for real: kept as a layer once, taken by later sessions, and never written by one.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createSampleRepository, gitEnvironment } from '../../demo/repository.ts'
import { runChecked } from '../../src/lib/process.ts'
import type { NewSession } from '../../src/protocol/api.ts'
import { eventsOf, type Installation, startInstallation } from './installation.ts'

const FILES = 1_500
const TAKEN = 'was taken from a layer'
/** Each costs a session; the first ones may find that it is still being made. */
const MOST_TRIES = 15

let errand: Installation
let folder: string
let repository: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'errand-checkouts-'))
  repository = join(folder, 'cart')
  await createSampleRepository(repository)
  const many = Array.from({ length: FILES }, (_, n) => [`many/${n % 30}/${n}.txt`, `${n}\n`])
  await commit(Object.fromEntries(many))
  errand = await startInstallation({ env: { ERRAND_CHECKOUT_FILES: '1000' } })
})
afterAll(async () => {
  await errand.stop()
  await rm(folder, { recursive: true, force: true })
})

const git = (...args: string[]) =>
  runChecked('git', args, { cwd: repository, env: gitEnvironment() })

async function commit(files: Record<string, string>): Promise<void> {
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(repository, path)), { recursive: true })
    await writeFile(join(repository, path), text)
  }
  await git('add', '--all')
  await git('commit', '--quiet', '--message', 'change')
}

/** A session that runs a command: what the command said, and what the checkout has logged. */
async function run(command: string, fields: Partial<NewSession> = {}) {
  const { id } = await errand.start(repository, command, { kind: 'command', ...fields })
  const events = await errand.finish(id)
  const output = eventsOf(events, 'command.output').map(({ text }) => text)
  const logged = eventsOf(events, 'phase.logged').flatMap(({ phase, lines }) =>
    phase === 'checkout' ? lines : [],
  )
  return { id, output: output.join(''), log: logged.join('\n') }
}

/** Until there is a layer that is near enough. */
async function runOnLayer(command: string, fields: Partial<NewSession> = {}) {
  for (let tries = 1; ; tries += 1) {
    const done = await run(command, fields)
    if (done.log.includes(TAKEN)) return { ...done, tries }
    if (tries === MOST_TRIES) throw new Error(`no layer was taken: ${done.log} ${errand.logged()}`)
    await errand.client.removeSession(done.id)
  }
}

const LOOK = 'git status --porcelain; git ls-files | wc -l; ls many | wc -l; cat many/7/37.txt'

it('is kept for later sessions, which work in it as in a clone', async () => {
  const expected = `${(await git('ls-files')).trim().split('\n').length}\n30\n37\n`
  const first = await run(LOOK)
  expect(first.output).toBe(expected)
  expect(first.log).not.toContain(TAKEN)
  // What git has noted of folders below a layer is not taken for what is in them now.
  const status = 'git status --porcelain'
  const untracked = `echo > many/3/new; mkdir many/4/new; echo > many/4/new/file; ${status}; rm -r many/[34]/new; ${status}`
  const push =
    'echo new > many/new.txt; git add -A; git commit -qm new; git push -q 2>&1; git log -1 --format=%s origin/$(git branch --show-current)'
  const second = await runOnLayer(`${LOOK}; ${untracked}; git reflog | wc -l; ${push}`)
  expect(second.log).toContain('0 files changed since')
  expect(second.output).toMatch(
    new RegExp(`^${expected}\\?\\? many/3/new\n\\?\\? many/4/new/\n\\d+\nnew\n$`),
  )
  const { files } = await errand.client.getDiff(second.id)
  expect(files.map(({ path }) => path)).toEqual(['many/new.txt'])
})

it('fetches and writes only what has changed, also over what a setup script made', async () => {
  await commit({ 'many/7/37.txt': 'changed\n' })
  const setup = 'echo made > /opt/made'
  const { id: environment } = await errand.client.createEnvironment({ name: 'with setup', setup })
  const { output, log } = await runOnLayer(
    'cat /opt/made many/7/37.txt many/8/38.txt; git status --porcelain; git count-objects',
    { environment },
  )
  expect(log).toContain('1 file changed since')
  // The commit, three trees and the file.
  expect(output).toMatch(/^made\nchanged\n38\n[1-5] objects/)
})

it('takes nothing of a session along, whatever branch that is on', async () => {
  await git('checkout', '--quiet', '-b', 'hostile')
  await commit({ 'evil.sh': 'evil\n' })
  const evil = await runOnLayer(
    `echo evil > many/7/37.txt; echo evil > many/left; echo evil > .git/hooks/post-checkout; chmod +x .git/hooks/*
     git config core.fsmonitor /bin/evil; echo evil > /var/lib/errand-checkout.json; git commit -qam evil; git push -q; echo done`,
  )
  expect(evil.output).toContain('done')
  await git('checkout', '--quiet', 'main')
  const look = `cat many/7/37.txt; ls many/left evil.sh .git/hooks/post-checkout 2>/dev/null; git config core.fsmonitor
    git log --all --format=%s | grep evil; git status --porcelain; grep -c . /var/lib/errand-checkout.json`
  const good = await runOnLayer(look)
  expect(good.output).toBe('changed\n1\n')
})

it('is cloned where the layer has gone', async () => {
  await rm(join(errand.dataDir, 'layers'), { recursive: true })
  const { output, log } = await run('cat many/7/37.txt; git status --porcelain')
  expect(output).toBe('changed\n')
  expect(log).not.toContain(TAKEN)
})
