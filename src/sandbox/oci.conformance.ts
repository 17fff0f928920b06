// The conformance suite against the real sandboxd with runc, as root; and what only the oci driver has: root file systems.
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { delay } from '../lib/deadline.ts'
import { runChecked } from '../lib/process.ts'
import { cgroupFolders } from './cgroups.ts'
import { createSandboxClient } from './client.ts'
import { type ConformanceHarness, endSandbox, newSpec, startSandbox } from './conformance-cases.ts'
import { GUEST_PROGRAM } from './conformance-guest.ts'
import { loopDevicesOf } from './disk-image.ts'
import { exists, orWhenMissing } from './files.ts'
import { runSandboxConformance } from './sandbox-conformance.ts'

const SANDBOXD = join(import.meta.dirname, '..', 'sandboxd.ts')
/** Kept between runs, since it takes a while to make. */
const CACHE = '/var/cache/errand-conformance'

interface Options {
  ownerShift: 'auto' | 'copy'
}

async function openHarness(options: Options): Promise<ConformanceHarness> {
  const top = await mkdtemp(join(tmpdir(), 'errand-sandbox-'))
  const runtimeDir = await mkdtemp('/run/errand-test-')
  const config = {
    ...options,
    dataDir: join(top, 'data'),
    runtimeDir,
    doorsDir: join(runtimeDir, 'doors'),
    programs: {
      node: process.execPath,
      runner: join(top, 'runner.mjs'),
      agent: join(top, 'agent'),
    },
    rootfsDirs: [join(top, 'images'), CACHE],
    socketPath: join(runtimeDir, 'sandboxd', 'sandboxd.sock'),
    logLevel: 'error',
  }
  await mkdir(join(top, 'images'), { recursive: true })
  await writeFile(config.programs.runner, GUEST_PROGRAM)
  await writeFile(config.programs.agent, '#!/bin/sh\n', { mode: 0o755 })
  const driver = createSandboxClient({ socketPath: config.socketPath, kind: 'oci' })
  let sandboxd = await startSandboxd(config)
  return {
    doorsDir: config.doorsDir,
    imagesDir: join(top, 'images'),
    driver: () => driver,
    crash: async () => {
      await end(sandboxd, 'SIGKILL')
      sandboxd = await startSandboxd(config)
    },
    leftovers: (sessionId) => findLeftovers([config.dataDir, runtimeDir], sessionId),
    close: async () => {
      await end(sandboxd, 'SIGTERM')
      await rm(top, { recursive: true, force: true })
      await rm(runtimeDir, { recursive: true, force: true })
    },
  }
}

/** Resolves when it says that it is ready. */
async function startSandboxd(config: { dataDir: string }): Promise<ChildProcess> {
  const file = `${config.dataDir}.json`
  await writeFile(file, JSON.stringify(config))
  // Each one in a mount namespace of its own, as in an installation that was started again.
  const child = spawn(
    '/usr/bin/unshare',
    ['--mount', process.execPath, SANDBOXD, '--config', file],
    {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    },
  )
  await new Promise<void>((resolve, reject) => {
    child.once('message', (message: { failed?: { message: string } }) => {
      if (message.failed) reject(new Error(message.failed.message))
      else resolve()
    })
    child.once('exit', () => reject(new Error('sandboxd ended')))
  })
  return child
}

function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  return new Promise((resolve) => {
    child.once('exit', () => resolve())
    child.kill(signal)
  })
}

/** Processes, mounts in any namespace, control groups, loop devices and files that name the session. */
async function findLeftovers(folders: string[], sessionId: string): Promise<string[]> {
  const found = await cgroupFolders(sessionId)
  const pids = (await readdir('/proc')).filter((name) => Number(name) > 0)
  for (const pid of pids)
    for (const file of ['cmdline', 'cgroup', 'mountinfo']) {
      const text = await orWhenMissing('', readFile(`/proc/${pid}/${file}`, 'utf8')).catch(() => '')
      if (text.includes(sessionId)) found.push(`/proc/${pid}/${file}`)
    }
  for (const folder of folders) {
    const names = await readdir(folder, { recursive: true })
    found.push(...names.filter((name) => name.includes(sessionId)))
    found.push(...(await loopDevicesOf(join(folder, 'sandboxes', sessionId, 'disk.img'))))
  }
  return found
}

runSandboxConformance('oci', () => openHarness({ ownerShift: 'auto' }))

describe('oci half-way', () => {
  let harness: ConformanceHarness
  beforeAll(async () => {
    harness = await openHarness({ ownerShift: 'auto' })
  })
  afterAll(() => harness.close())

  it.each([0, 5, 10, 15, 20, 30, 40, 50, 60, 80])(
    'leaves nothing behind when sandboxd dies %i ms into a start',
    async (ms) => {
      const spec = newSpec()
      await mkdir(join(harness.doorsDir, spec.sessionId), { recursive: true })
      await harness.driver().create(spec)
      const starting = harness
        .driver()
        .start(spec.sessionId)
        .catch(() => undefined)
      await delay(ms)
      await harness.crash()
      await starting
      await rm(join(harness.doorsDir, spec.sessionId), { recursive: true })
      await harness.driver().remove(spec.sessionId)
      expect(await harness.leftovers(spec.sessionId)).toEqual([])
    },
  )

  it('starts ten at once', async () => {
    const specs = Array.from({ length: 10 }, () => newSpec())
    for (const { sessionId } of specs)
      await mkdir(join(harness.doorsDir, sessionId), { recursive: true })
    await Promise.all(specs.map((spec) => harness.driver().create(spec)))
    await Promise.all(specs.map(({ sessionId }) => harness.driver().start(sessionId)))
    const states = (await harness.driver().list()).map(({ state }) => state)
    expect(states).toEqual(specs.map(() => 'running'))
    await Promise.all(specs.map(({ sessionId }) => harness.driver().remove(sessionId)))
    expect(await harness.driver().list()).toEqual([])
  })
})

describe.each(['auto', 'copy'] as const)(
  'oci on a root file system, owners by %s',
  (ownerShift) => {
    let harness: ConformanceHarness
    let path: string
    beforeAll(async () => {
      harness = await openHarness({ ownerShift })
      path = await makeRootfs()
    }, 240_000)
    afterAll(() => harness.close())

    const start = async () => {
      const limits = { memoryBytes: 1 << 30, cpus: 2, processes: 256, diskBytes: 1 << 30 }
      const sandbox = await startSandbox(
        harness,
        newSpec({ image: { kind: 'rootfs', path }, limits }),
      )
      onTestFinished(() => endSandbox(harness, sandbox))
      return sandbox
    }

    it('lets root own everything and install packages', async () => {
      const { guest } = await start()
      const strange = await guest.sh(
        'find / -xdev -uid 65534 -not -path "/proc*" -not -path "/sys*" -not -path "/opt/errand*"',
      )
      expect(strange.stdout).toBe('')
      const { stdout, stderr } = await guest.sh(INSTALL)
      expect(stderr).not.toContain('E:')
      expect(stdout.trimEnd().split('\n').at(-1)).toBe('installed')
      expect(
        (await guest.sh('rm /etc/debian_version && ls -ld /usr/bin/su | cut -c1-10')).stdout,
      ).toBe('-rwsr-xr-x\n')
    })

    it('never writes to the image', async () => {
      const before = await runChecked('find', [path, '-printf', '%p %U %m %s %T@\n'], {
        maxOutputBytes: 32 << 20,
      })
      const { guest } = await start()
      await guest.sh('echo changed > /etc/debian_version; touch /usr/bin/new; chown -R 5:5 /home')
      expect(await exists(join(path, 'usr/bin/new'))).toBe(false)
      const after = await runChecked('find', [path, '-printf', '%p %U %m %s %T@\n'], {
        maxOutputBytes: 32 << 20,
      })
      expect(after).toBe(before)
    })

    it('removes one without a trace', async () => {
      const { sessionId, guest } = await start()
      await guest.close()
      await harness.driver().remove(sessionId)
      expect(await harness.leftovers(sessionId)).toEqual([])
    })
  },
)

const INSTALL = `
mkdir -p /tmp/p/DEBIAN /tmp/p/usr/share/tiny
echo installed > /tmp/p/usr/share/tiny/said
printf 'Package: tiny\\nVersion: 1\\nArchitecture: all\\nMaintainer: t <t@example.org>\\nDescription: t\\n' > /tmp/p/DEBIAN/control
dpkg-deb -b /tmp/p /tmp/tiny.deb
apt-get install -y /tmp/tiny.deb
cat /usr/share/tiny/said`

async function makeRootfs(): Promise<string> {
  const path = join(CACHE, 'rootfs')
  if (await exists(path)) return path
  await mkdir(CACHE, { recursive: true })
  const unfinished = `${path}.new`
  await rm(unfinished, { recursive: true, force: true })
  const codename = /^VERSION_CODENAME=(\w+)$/m.exec(await readFile('/etc/os-release', 'utf8'))?.[1]
  await runChecked('mmdebstrap', ['--variant=minbase', codename ?? 'stable', unfinished])
  await runChecked('mv', [unfinished, path])
  return path
}
