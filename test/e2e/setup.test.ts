// Setup scripts for real: run once for each content in a sandbox of their own, and what they made is under every session.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createSampleRepository, gitEnvironment } from '../../demo/repository.ts'
import { delay } from '../../src/lib/deadline.ts'
import { runChecked } from '../../src/lib/process.ts'
import type { NewEnvironment } from '../../src/protocol/api.ts'
import type { SessionEvent } from '../../src/protocol/event.ts'
import { eventsOf, type Installation, startInstallation } from './installation.ts'
import { createRepositoryUpload } from './upload.ts'

let errand: Installation
let folder: string
let repository: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'errand-setup-'))
  repository = join(folder, 'cart')
  await createSampleRepository(repository)
  await commit({ 'package-lock.json': '{"lockfileVersion":3}\n' })
  errand = await startInstallation()
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

let count = 0
async function newEnvironment(fields: Omit<NewEnvironment, 'name'>): Promise<string> {
  count += 1
  return (await errand.client.createEnvironment({ name: `with setup ${count}`, ...fields })).id
}

/** A session that runs a command: what the command said, and all events. */
async function run(environment: string, command: string) {
  const source = await createRepositoryUpload(errand, repository)
  const session = { environment, source, prompt: command, kind: 'command' as const }
  const { id } = await errand.client.createSession(session)
  const events = await errand.finish(id)
  return { id, events, output: outputOf(events) }
}

const outputOf = (events: SessionEvent[]) =>
  eventsOf(events, 'command.output')
    .map(({ text }) => text)
    .join('')
const logOf = (events: SessionEvent[]) =>
  eventsOf(events, 'phase.logged').flatMap(({ phase, lines }) =>
    phase === 'environment' ? lines : [],
  )
const phasesOf = (events: SessionEvent[]) =>
  eventsOf(events, 'phase.completed').map(({ phase }) => phase)

/** What tells one run of the script from another. */
const MARK = 'cat /proc/sys/kernel/random/uuid > /opt/mark'

it('runs once for two sessions at once, as root, with its inputs and variables alone', async () => {
  const environment = await newEnvironment({
    setup: `
      set -e
      echo "begins in $PWD as $(id -un) with $GREETING"
      find . -type f | sort; ls -A /workspace
      mkdir -p /opt/tool/bin && printf '#!/bin/sh\\necho tool works\\n' > /opt/tool/bin/tool
      chmod +x /opt/tool/bin/tool
      ${MARK}
      sleep 1; echo ends`,
    setupInputs: ['package-lock.json', 'absent.lock'],
    variables: { GREETING: 'hello' },
  })
  const look = '/opt/tool/bin/tool; cat /opt/mark; ls -A /var/lib/errand-setup'
  const [first, second] = await Promise.all([run(environment, look), run(environment, look)])
  expect(first.output).toMatch(/^tool works\n[0-9a-f-]{36}\npackage-lock.json\n$/)
  expect(second.output).toBe(first.output)
  const logs = [logOf(first.events), logOf(second.events)]
  const made = logs.find((lines) => lines.includes('ends')) ?? []
  const waited = logs.find((lines) => lines !== made)
  expect(made).toEqual([
    'Not in the repository: absent.lock',
    'begins in /var/lib/errand-setup as root with hello',
    './package-lock.json',
    'ends',
  ])
  expect(waited?.join('\n')).toMatch(/waiting for it|what it made is used/)
  const phases = phasesOf(first.events)
  expect(phases).toEqual(['fetch', 'environment', 'sandbox', 'checkout', 'agent'])

  const third = await run(environment, look)
  expect(third.output).toBe(first.output)
  expect(logOf(third.events).join('\n')).toMatch(/what it made is used/)

  await commit({ 'package-lock.json': '{"lockfileVersion":3,"packages":{}}\n' })
  const other = await run(environment, look)
  expect(other.output).toMatch(/^tool works\n/)
  expect(other.output).not.toBe(first.output)

  expect((await errand.client.rebuildEnvironment(environment)).layers).toBe(2)
  const rebuilt = await run(environment, look)
  expect(rebuilt.output).not.toBe(other.output)
  expect(logOf(rebuilt.events)).toContain('ends')
})

it('says why a script failed, and runs it again for a retry', async () => {
  const worksFrom = Math.ceil(Date.now() / 1000) + 6
  const environment = await newEnvironment({
    setup: `echo "looking for it"; test $(date +%s) -ge ${worksFrom} || { echo "not there" >&2; exit 7; }; ${MARK}`,
  })
  const failed = await run(environment, 'cat /opt/mark')
  expect((await errand.client.getSession(failed.id)).failure).toMatchObject({
    reason: 'setup_failed',
    message: expect.stringMatching(/exit code 7[\s\S]*looking for it\nnot there/),
  })
  const [phase] = eventsOf(failed.events, 'phase.failed')
  expect(phase).toMatchObject({ phase: 'environment', reason: 'setup_failed' })
  await delay(worksFrom * 1000 - Date.now())
  await errand.client.actOnSession(failed.id, 'retry')
  const after = failed.events.at(-1)?.seq
  const events = await errand.follow(failed.id, ({ body }) => body.type === 'turn.completed', after)
  expect(outputOf(events)).toMatch(/^[0-9a-f-]{36}\n$/)
})

it('takes nothing of a session along, whatever branch that is on', async () => {
  const environment = await newEnvironment({
    setup: `${MARK}; mkdir -p /opt/lib; echo good > /opt/lib/code`,
    setupInputs: ['package-lock.json'],
  })
  await git('checkout', '--quiet', '-b', 'hostile')
  await commit({ 'evil.sh': 'echo evil\n', 'setup.sh': 'echo evil\n' })
  const evil = await run(
    environment,
    'for d in /opt/lib /etc /root /var/lib/errand-setup /workspace; do echo evil > $d/evil; done; echo evil > /opt/lib/code; cat /opt/mark',
  )
  await git('checkout', '--quiet', 'main')
  const look =
    'cat /opt/mark /opt/lib/code; ls /opt/lib/evil /etc/evil /root/evil /var/lib/errand-setup/evil /workspace/evil 2>/dev/null'
  const good = await run(environment, look)
  expect(good.output).toBe(`${evil.output}good\n`)
  // Also while the hostile one is still there, and from its own next start.
  await errand.client.removeSession(evil.id)
  expect((await run(environment, look)).output).toBe(good.output)
})

const ENVIRONMENT_FILE = '.errand/environment.yaml'
/** Where the owner's environment has no script: `more` is what a branch adds to it. */
const ownScript = (more: string) => `
image: nowhere
variables: { GREETING: hello }
setupInputs: [package-lock.json]
setup: |
  ${MARK}; mkdir -p /opt/lib; echo good > /opt/lib/code
  echo "$GREETING from $PWD:" $(find . -type f) > /opt/lib/seen
  ${more}
`

it('runs the script of a repository where the owner has none, and keeps what a hostile branch makes of it apart', async () => {
  const environment = await newEnvironment({})
  await git('checkout', '--quiet', '-b', 'own', 'main')
  await commit({ [ENVIRONMENT_FILE]: ownScript('echo plain') })
  const look = 'cat /opt/mark /opt/lib/*; ls /opt/evil /root/evil 2>/dev/null; echo "$GREETING"'
  const first = await run(environment, look)
  expect(first.output).toMatch(
    /^[0-9a-f-]{36}\ngood\nhello from \/var\/lib\/errand-setup: \.\/package-lock\.json\nhello\n$/,
  )
  const { phases } = (await errand.client.getSession(first.id)).sandbox
  expect(phases.map(({ name }) => name)).toEqual([
    ...['fetch', 'environment', 'sandbox', 'checkout', 'agent'],
  ])
  expect(eventsOf(first.events, 'environment.read')).toMatchObject([
    { notices: [expect.stringContaining('"nowhere" is not on this machine')] },
  ])

  // The same lock file and another script: a layer of its own.
  await git('checkout', '--quiet', '-b', 'hostile-script')
  await commit({ [ENVIRONMENT_FILE]: ownScript('echo evil > /opt/lib/code; touch /opt/evil') })
  const evil = await run(environment, `${look}; touch /root/evil`)
  expect(evil.output).toMatch(/\nevil\n[\s\S]*\/opt\/evil\n/)
  // The same lock file and script: the same layer, which knows nothing of the branch.
  await git('checkout', '--quiet', 'own')
  await git('checkout', '--quiet', '-b', 'hostile-files')
  await commit({
    'package.json': '{"scripts":{"preinstall":"touch /opt/evil"}}',
    'evil.sh': 'evil',
  })
  const other = await run(environment, `${look}; echo evil > /opt/lib/code; touch /root/evil`)
  expect(other.output).toBe(first.output)
  await git('checkout', '--quiet', 'own')
  expect((await run(environment, look)).output).toBe(first.output)

  expect((await errand.client.rebuildEnvironment(environment)).layers).toBe(2)
  await git('checkout', '--quiet', 'main')
})

it('starts a stopped session with what it had', async () => {
  const environment = await newEnvironment({ setup: MARK })
  const { id, output } = await run(environment, 'echo mine > /opt/mine; cat /opt/mark')
  await errand.client.actOnSession(id, 'stop')
  await errand.follow(id, ({ body }) => body.type === 'sandbox.stopped')
  await errand.client.rebuildEnvironment(environment)
  const { lastSeq } = await errand.client.getSession(id)
  await errand.client.sendMessage(id, { text: 'cat /opt/mark /opt/mine', kind: 'command' })
  const events = await errand.finish(id, lastSeq)
  expect(outputOf(events)).toBe(`${output}mine\n`)
})
