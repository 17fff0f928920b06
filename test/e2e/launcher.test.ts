// `./errand` in a fresh clone below a folder that others may not enter, with an empty home: it installs, builds and runs,
// or says exactly what is missing. Then the same clone for an ordinary user of the machine.
import { randomBytes } from 'node:crypto'
import {
  chmod,
  chown,
  cp,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  realpath,
  rm,
  stat,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { createSampleRepository } from '../../demo/repository.ts'
import type { RunResult } from '../../src/cli/result.ts'
import { runChecked, runProcess } from '../../src/lib/process.ts'
import { shellQuote } from '../../src/lib/shell-quote.ts'
import type { ErrorBody } from '../../src/protocol/errors.ts'
import { errorOf, jsonOf, runCommand, startCommand } from './command.ts'
import { ROOT } from './installation.ts'

const INSTALL_LIMIT_MS = 600_000
/** A user id without a name. */
const NOBODY = 65_534

let folder: string
let closed: string
let clone: string
let home: string

beforeAll(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'errand-launcher-')))
  await chmod(folder, 0o711)
  // Its name is the hardest that a path can have for what builds and runs in it.
  closed = join(folder, "closed 'a' #1 50%20?")
  home = join(folder, 'home')
  await mkdir(closed, { mode: 0o700 })
  await mkdir(home, { mode: 0o700 })
  clone = join(closed, 'errand')
  await cloneRepository(clone)
})
afterAll(() => rm(folder, { recursive: true, force: true }))

/** What a clone of this state would hold: all files that git knows, or would know after `git add`. */
async function cloneRepository(to: string): Promise<void> {
  const args = ['-C', ROOT, 'ls-files', '-z', '--cached', '--others', '--exclude-standard']
  const paths = new Set((await runChecked('git', args)).split('\0').filter(Boolean))
  for (const path of paths) {
    const source = join(ROOT, path)
    const isThere = await stat(source).then(
      () => true,
      () => false,
    )
    if (!isThere) continue
    await mkdir(dirname(join(to, path)), { recursive: true })
    await cp(source, join(to, path))
  }
}

/** The PATH of a bare machine, where Node.js may be older than what Errand wants. */
const barePath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
const launcher = () => ({ program: [join(clone, 'errand')] })
const launch = (args: string[], env: Record<string, string> = {}, { program } = launcher()) =>
  runCommand(args, { program, env: { HOME: home, PATH: barePath, ...env } })
/** As a user whose files others may not read. */
const closedLauncher = () => ({
  program: ['sh', '-c', 'umask 077 && exec "$0" "$@"', join(clone, 'errand')],
})

describe('a fresh clone below a closed folder, with an empty home', () => {
  it(
    'installs, builds and plays the demo with one command, also where others may read nothing new',
    async () => {
      const data = join(folder, 'demo/data')
      await mkdir(dirname(data))
      const result = await launch(['demo', '--json'], { ERRAND_DATA: data }, closedLauncher())
      expect(result.exitCode, result.stderr).toBe(0)
      expect(jsonOf<RunResult>(result)).toMatchObject({ status: 'idle', filesChanged: 1 })
      expect(result.stderr).toContain('errand: installing npm packages')
      expect(result.stderr).toContain('errand: building the page and the runner')
      expect(await readdir(dirname(data))).toEqual([])
    },
    INSTALL_LIMIT_MS,
  )

  it('installs and builds nothing a second time, and tells its version within 0.3 s', async () => {
    expect(await launch(['--help'])).toMatchObject({ exitCode: 0, stderr: '' })
    const version = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')).version
    const times: number[] = []
    // The machine may be busy with other tests: the quickest run is nearest to what it takes.
    for (let attempt = 0; attempt < 9; attempt++) {
      const startedAt = performance.now()
      const result = await launch(['--version'])
      times.push(performance.now() - startedAt)
      expect(result).toMatchObject({ exitCode: 0, stdout: `${version}\n`, stderr: '' })
    }
    expect(Math.min(...times)).toBeLessThan(300)
    console.info(`errand --version: ${times.map((ms) => Math.round(ms)).sort((a, b) => a - b)} ms`)
  })

  it('says what keeps its programs from reading it', async () => {
    await runChecked('chmod', ['-R', 'go-rwx', clone])
    const error = errorOf(
      await launch(['up', '--json', '--port', '0', '--data', join(folder, 'unread')]),
    )
    expect(error).toMatchObject({ code: 'forbidden', reason: 'code_unreadable' })
    expect(error.message).toContain(`chmod -R go+rX ${shellQuote(clone)}`)
  })
  // As the message says.
  afterAll(async () => {
    await runChecked('chmod', ['-R', 'go+rX', clone])
  })
})

describe('a machine without the packages', () => {
  /** Runs the launcher as somebody who may not install, where the given programs are not there. */
  const without = (programs: string[], args: string[]) => {
    const hide = programs.map((path) => `mount --bind /dev/null ${path}`).join(' && ')
    const drop = `setpriv --reuid ${NOBODY} --regid ${NOBODY} --clear-groups`
    const script = `${hide} && exec ${drop} "$0" "$@"`
    return runProcess('unshare', ['--mount', 'sh', '-c', script, join(clone, 'errand'), ...args], {
      cwd: '/',
      env: { PATH: barePath, HOME: '/nonexistent' },
    })
  }
  const place = async (program: string) =>
    realpath((await runChecked('sh', ['-c', `PATH=${barePath} command -v ${program}`])).trim())

  beforeAll(() => chmod(closed, 0o711))
  afterAll(() => chmod(closed, 0o700))

  it('prints the exact line to run and stops with a clear error', async () => {
    const missing = await Promise.all(['runc', 'newuidmap'].map(place))
    const line = 'apt-get install -y --no-install-recommends runc uidmap'
    for (const command of ['up', 'run', 'demo']) {
      const result = await without(missing, [command, '--json'])
      expect(result.exitCode).toBe(10)
      const { error } = jsonOf<ErrorBody>(result)
      expect(error).toMatchObject({ code: 'unavailable', reason: 'system_packages' })
      expect(error.message.endsWith(`Run as root: ${line}`)).toBe(true)
      expect(result.stderr).toContain(line)
    }
    const plain = await without(missing, ['up'])
    expect(plain).toMatchObject({ exitCode: 10, stdout: '' })
    expect(plain.stderr).toContain(line)
    // What needs none of them works.
    expect((await without(missing, ['--version'])).exitCode).toBe(0)
  })
})

describe('an ordinary user', () => {
  const name = `errand-test-${randomBytes(3).toString('hex')}`
  let uid: number
  let gid: number
  let userHome: string

  beforeAll(async () => {
    userHome = join(folder, 'ordinary')
    await runChecked('useradd', ['--user-group', '--no-create-home', '--home-dir', userHome, name])
    const passwd = (await runChecked('getent', ['passwd', name])).split(':')
    uid = Number(passwd[2])
    gid = Number(passwd[3])
    for (const path of [userHome, join(userHome, 'run')]) {
      await mkdir(path, { mode: 0o700 })
      await chown(path, uid, gid)
    }
    await chmod(closed, 0o711)
  })
  afterAll(async () => {
    await chmod(closed, 0o700)
    // Its last processes may take a moment to go.
    await vi.waitFor(() => runChecked('userdel', [name]), { timeout: 30_000, interval: 200 })
  })

  const env = () => ({
    ...{ HOME: userHome, PATH: barePath, XDG_RUNTIME_DIR: join(userHome, 'run') },
    ...{ ERRAND_PORT: '0', ERRAND_LOG_LEVEL: 'fatal' },
  })
  const asUser = (args: string[], cwd = userHome) =>
    runCommand(args, { ...launcher(), uid, gid, cwd, env: env() })

  it('starts Errand with its state in the XDG folders, and works in it or is told why not', async () => {
    const running = startCommand(['up'], { ...launcher(), uid, gid, cwd: userHome, env: env() })
    await running.said(/Stop with/)
    expect(await readdir(join(userHome, '.local/share/errand'))).toContain('postgres')
    expect(await readdir(join(userHome, 'run/errand'))).toHaveLength(1)

    const repository = join(userHome, 'cart')
    await createSampleRepository(repository)
    await runChecked('chown', ['-R', `${uid}:${gid}`, repository])
    const result = await asUser(['run', 'make the failing test pass', '--json'], repository)
    const { status, error, sessionId } = jsonOf<RunResult>(result)
    const shown = await asUser(['logs', sessionId])
    // Where the machine keeps limits for ordinary users, only the model's key is missing.
    if (error?.code === 'unsupported') {
      expect({ status, reason: error.reason }).toEqual({
        status: 'failed',
        reason: 'limits_unavailable',
      })
      expect(result.exitCode).toBe(9)
      expect(error.message).toContain('--allow-unlimited')
      expect(shown.stdout).toMatch(/✕ sandbox failed/)
    } else {
      expect(error).toMatchObject({ reason: 'model_key_missing' })
      expect(shown.stdout).toMatch(/^✓ sandbox \d/m)
    }
    await asUser(['rm', sessionId])

    running.interrupt()
    expect(await running.ended()).toBe(0)
    expect(running.stderr()).not.toMatch(/\n\s+at /)
    expect(await readdir(join(userHome, 'run/errand'))).toEqual([])
  })

  it('is not let into the folder for sockets that somebody else has made', async () => {
    const foreign = join(userHome, 'foreign')
    await mkdir(join(foreign, 'errand'), { recursive: true, mode: 0o777 })
    await chmod(join(foreign, 'errand'), 0o777)
    const result = await runCommand(['up', '--json'], {
      ...launcher(),
      ...{ uid, gid, cwd: userHome },
      env: { ...env(), XDG_RUNTIME_DIR: foreign },
    })
    expect(errorOf(result)).toMatchObject({ reason: 'runtime_folder_foreign' })
  })
})
