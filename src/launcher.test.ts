// `./errand` in a clone of stand-ins: an npm, a Node.js and a build that write down that they were called. What it does with
// real ones is tried by test/e2e/launcher.test.ts.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, cp, mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { runChecked } from './lib/process.ts'

const ROOT = join(import.meta.dirname, '..')
/** Of the system, all that there is: no other npm, no other Node.js. */
const TOOLS = [
  ...['cat', 'chmod', 'cmp', 'cp', 'dirname', 'find', 'flock', 'grep', 'id', 'mkdir', 'mktemp'],
  ...['readlink', 'rm', 'sed', 'sh', 'tail', 'touch', 'uname'],
]
/** Of sandboxes; never run here. */
const NEEDED = ['runc', 'git', 'ip', 'nft', 'unshare', 'newuidmap', 'mkfs.ext4', 'useradd']
const LOCK = '      "integrity": "sha512-of-this-one==",\n'
const PACKAGE = `node-linux-${process.arch}`

/** Waits, once it has said so, until somebody writes to the pipe `gate`. */
const WAIT = 'if [ -p "$NOTES.gate" ]; then cat "$NOTES.gate" >/dev/null; fi'
const NODE = `#!/bin/sh
case "$1" in
-p) echo 24 ;;
*/scripts/build.ts)
  echo build >>"$NOTES"
  ${WAIT}
  touch "\${1%/scripts/build.ts}/dist/.built" ;;
*) echo "node \${1##*/} $2" ;;
esac
`
const NPM = `#!/bin/sh
echo "npm \${3##*/}" >>"$NOTES"
${WAIT}
rm -rf "$3/node_modules"
mkdir -p "$3/node_modules"
case "$3" in */bootstrap)
  mkdir -p "$3/node_modules/${PACKAGE}/bin"
  cp "$NOTES.node" "$3/node_modules/${PACKAGE}/bin/node"
  cp "$3/package-lock.json" "$3/node_modules/.package-lock.json" ;;
esac
`
/** Says that the lock is waited for, where it is. */
const FLOCK = (real: string) => `#!/bin/sh
case "$1" in -n) ;; *) echo flock >>"$NOTES" ;; esac
exec ${real} "$@"
`

let folder: string
let clone: string
let notes: string
const started: ChildProcess[] = []

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'errand launcher-'))
  clone = join(folder, 'clone')
  notes = join(folder, 'notes')
  for (const name of ['bootstrap', 'web', 'src', 'demo', 'scripts', 'dist'])
    await mkdir(join(clone, name), { recursive: true })
  await cp(join(ROOT, 'errand'), join(clone, 'errand'))
  for (const name of ['package-lock.json', 'bootstrap/package-lock.json'])
    await writeFile(join(clone, name), LOCK)
  await mkdir(join(folder, 'bin'))
  await writeFile(notes, '')
  await program('notes.node', NODE)
  await program('bin/npm', NPM)
  for (const name of NEEDED) await program(`bin/${name}`, '#!/bin/sh\n')
  for (const name of TOOLS) await symlink(await placeOf(name), join(folder, 'bin', name))
})
afterEach(async () => {
  for (const child of started.splice(0)) if (child.kill('SIGKILL')) await once(child, 'close')
  await rm(folder, { recursive: true, force: true })
})

async function program(name: string, script: string): Promise<void> {
  await writeFile(join(folder, name), script)
  await chmod(join(folder, name), 0o755)
}

const placeOf = async (name: string) =>
  (await runChecked('sh', ['-c', `command -v ${name}`])).trim()
const noted = async () => (await readFile(notes, 'utf8')).split('\n').filter(Boolean)

function launch(args: string[], { umask = '022', ...env }: Record<string, string> = {}) {
  const program = ['-c', `umask ${umask} && exec "$0" "$@"`, join(clone, 'errand'), ...args]
  const child = spawn('/bin/sh', program, {
    env: { ...env, PATH: join(folder, 'bin'), NOTES: notes },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  started.push(child)
  const said = Promise.all([text(child.stdout), text(child.stderr)])
  return said.then(([stdout, stderr]) => ({ stdout, stderr }))
}

it('installs and builds what is missing, and then nothing any more', async () => {
  const { stdout } = await launch(['up'])
  expect(stdout).toBe('node main.js up\n')
  const all = ['npm bootstrap', 'npm clone', 'build']
  expect(await noted()).toEqual(all)
  expect((await launch(['up'])).stdout).toBe('node main.js up\n')
  expect(await noted()).toEqual(all)
})

it('lets only one of two install and build, and the other one go on with it', async () => {
  const flock = await placeOf('flock')
  await rm(join(folder, 'bin/flock'))
  await program('bin/flock', FLOCK(flock))
  await runChecked('mkfifo', [`${notes}.gate`])
  const both = [launch(['up']), launch(['up'])]
  await vi.waitFor(
    async () => expect(await noted()).toEqual(expect.arrayContaining(['flock', 'npm bootstrap'])),
    { timeout: 20_000 },
  )
  await runChecked('sh', ['-c', 'mv "$0" "$0.open" && : >"$0.open"', `${notes}.gate`])
  for (const { stdout, stderr } of await Promise.all(both))
    expect(stdout, stderr).toBe('node main.js up\n')
  const done = (await noted()).filter((note) => note !== 'flock')
  expect(done).toEqual(['npm bootstrap', 'npm clone', 'build'])
})

it.each(['up', 'run', 'demo', 'check-tools', 'attack'])(
  'builds for errand %s, which starts an Errand, and wants what sandboxes are made of',
  async (command) => {
    await launch([command])
    expect(await noted()).toContain('build')
    await rm(join(folder, 'bin/newuidmap'))
    expect((await launch([command])).stderr).toContain('--no-install-recommends uidmap')
  },
)

it('wants nothing of sandboxes where the Errand is elsewhere, but git for what is pushed there', async () => {
  const elsewhere = { ERRAND_URL: 'https://errand.example.org' }
  for (const name of NEEDED.filter((one) => one !== 'git')) await rm(join(folder, 'bin', name))
  for (const command of ['run', 'check-tools'])
    expect((await launch([command], elsewhere)).stdout).toBe(`node main.js ${command}\n`)
  expect(await noted()).not.toContain('build')
  expect((await launch(['up'], elsewhere)).stderr).toMatch(/--no-install-recommends .*uidmap/)
  await rm(join(folder, 'bin/git'))
  expect((await launch(['run'], elsewhere)).stderr).toContain('--no-install-recommends git')
})

it('needs no npm where everything is there, as of a root whose PATH is another one', async () => {
  await launch(['up'])
  await rm(join(folder, 'bin/npm'))
  expect(await launch(['sessions'])).toEqual({ stdout: 'node main.js sessions\n', stderr: '' })
})

it('installs Node.js again when that was broken off, or another one is wanted', async () => {
  await launch(['sessions'])
  const own = join(clone, 'bootstrap/node_modules', PACKAGE, 'bin/node')
  await writeFile(own, 'half of a program')
  await rm(join(clone, 'bootstrap/node_modules/.package-lock.json'))
  await writeFile(notes, '')
  expect((await launch(['sessions'])).stdout).toBe('node main.js sessions\n')
  expect(await noted()).toEqual(['npm bootstrap'])
  await writeFile(join(clone, 'bootstrap/package-lock.json'), LOCK.replace('this', 'another'))
  expect((await launch(['sessions'])).stdout).toBe('node main.js sessions\n')
  expect(await noted()).toEqual(['npm bootstrap', 'npm bootstrap'])
})

it('replaces nothing under an Errand that runs from this clone, and works with what is there', async () => {
  await launch(['up'])
  const running = spawn('/bin/sh', ['-c', 'read line', join(clone, 'src/main.js'), 'up', '--json'])
  started.push(running)
  await once(running, 'spawn')
  for (const name of ['package-lock.json', 'bootstrap/package-lock.json'])
    await writeFile(join(clone, name), LOCK.replace('this', 'another'))
  await writeFile(notes, '')
  for (const command of ['down', 'sessions', 'run', 'demo'])
    expect(await launch([command])).toEqual({ stdout: `node main.js ${command}\n`, stderr: '' })
  const refused = await launch(['up', '--json'])
  expect(refused.stderr).toContain('errand down')
  expect(JSON.parse(refused.stdout)).toMatchObject({ error: { reason: 'clone_in_use' } })
  expect(await noted()).toEqual([])

  running.kill('SIGKILL')
  await once(running, 'close')
  expect((await launch(['up'])).stdout).toBe('node main.js up\n')
  expect(await noted()).toEqual(['npm bootstrap', 'npm clone', 'build'])
})

it('leaves what it notes of the packages to others to read, whatever the umask', async () => {
  await launch(['sessions'], { umask: '077' })
  expect((await stat(join(clone, 'node_modules/.errand-lock'))).mode & 0o777).toBe(0o644)
})
