// The harness of the conformance suite that runs the real sandboxd with runc, as root or as an ordinary user of the
// machine. Used by tests only, which run as root.
import { type ChildProcess, spawn } from 'node:child_process'
import { chown, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { SANDBOX_PATHS } from '../../protocol/network.ts'
import { createSandboxClient } from '../client.ts'
import { loopDevicesOf } from '../disks/disk-image.ts'
import { orWhenMissing } from '../files.ts'
import { cgroupFolders } from '../oci/cgroups.ts'
import type { ConformanceHarness } from './conformance-cases.ts'
import { GUEST_PROGRAM } from './conformance-guest.ts'
import { asUser, type OrdinaryUser } from './conformance-user.ts'

const SANDBOXD = join(import.meta.dirname, '../..', 'sandboxd.ts')
/** Kept between runs, since it takes a while to make. */
export const CACHE = '/var/cache/errand-conformance'

interface Options {
  ownerShift?: 'auto' | 'copy'
  allowUnlimited?: boolean
}

export async function openHarness(
  options: Options,
  user?: OrdinaryUser,
): Promise<ConformanceHarness> {
  const top = await mkdtemp(join(tmpdir(), 'errand-sandbox-'))
  const runtimeDir = await mkdtemp('/run/errand-test-')
  const config = {
    ...options,
    ...(user ? { homeDir: top } : {}),
    dataDir: join(top, 'data'),
    runtimeDir,
    doorsDir: join(runtimeDir, 'doors'),
    programs: {
      node: process.execPath,
      runner: join(top, 'runner'),
      agent: join(top, 'agent'),
    },
    rootfsDirs: [join(top, 'images'), CACHE],
    socketPath: join(runtimeDir, 'sandboxd', 'sandboxd.sock'),
    logLevel: 'error',
  }
  await mkdir(join(top, 'images'), { recursive: true })
  // Both are closed for everybody else.
  if (user) for (const path of [top, runtimeDir]) await chown(path, user.uid, user.gid)
  await mkdir(config.programs.runner)
  await writeFile(join(config.programs.runner, basename(SANDBOX_PATHS.runner)), GUEST_PROGRAM)
  await writeFile(config.programs.agent, '#!/bin/sh\n', { mode: 0o755 })
  const driver = createSandboxClient({ socketPath: config.socketPath, kind: 'oci' })
  let sandboxd = await startSandboxd(config, user)
  return {
    doorsDir: config.doorsDir,
    imagesDir: join(top, 'images'),
    driver: () => driver,
    crash: async () => {
      await end(sandboxd, 'SIGKILL')
      sandboxd = await startSandboxd(config, user)
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
async function startSandboxd(
  config: { dataDir: string },
  user: OrdinaryUser | undefined,
): Promise<ChildProcess> {
  const file = `${config.dataDir}.json`
  await writeFile(file, JSON.stringify(config))
  // As root each one in a mount namespace of its own, as in an installation that was started again.
  const [command = '', ...args] = user ? asUser(user) : ['/usr/bin/unshare', '--mount']
  const child = spawn(command, [...args, process.execPath, SANDBOXD, '--config', file], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
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
    // With types, links are not followed: a layer has links to folders of the machine, where other tests work.
    const entries = await readdir(folder, { recursive: true, withFileTypes: true })
    const paths = entries.map((entry) => join(entry.parentPath, entry.name))
    found.push(...paths.filter((path) => path.includes(sessionId)))
    found.push(...(await loopDevicesOf(join(folder, 'sandboxes', sessionId, 'disk.img'))))
  }
  return found
}
