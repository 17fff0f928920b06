// Sandboxes of an ordinary user who is made for the suite: the driver is a program that runs as that user.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chown, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createSandboxClient } from '../../src/sandbox/client.ts'
import {
  asUser,
  createUser,
  hasDelegation,
} from '../../src/sandbox/conformance/conformance-user.ts'
import type { createOciDriver } from '../../src/sandbox/oci/oci.ts'
import type { Canaries } from './canaries.ts'
import { openSandboxes, type Sandboxes } from './sandboxes.ts'

export interface RootlessSettings {
  config: Parameters<typeof createOciDriver>[0]
  socketPath: string
  /** Holds the canaries, as JSON. */
  canariesFile: string
}

export interface OrdinarySandboxes extends Sandboxes {
  /** What controls are left out for. */
  show(canaries: Canaries): Promise<void>
}

export async function openOrdinarySandboxes(): Promise<OrdinarySandboxes> {
  const user = await createUser()
  const allowUnlimited = !(await hasDelegation())
  let child: ChildProcess | undefined
  let canariesFile = ''
  const sandboxes = await openSandboxes(async (given) => {
    const { runtimeDir, dataDir } = given
    const top = join(dataDir, '..')
    canariesFile = join(top, 'canaries.json')
    const socketPath = join(runtimeDir, 'driver.sock')
    const config = { ...given, homeDir: top, allowUnlimited }
    const settings: RootlessSettings = { config, socketPath, canariesFile }
    await writeFile(join(top, 'settings.json'), JSON.stringify(settings))
    for (const folder of [top, runtimeDir]) await chown(folder, user.uid, user.gid)
    child = spawn(
      '/usr/bin/env',
      [
        ...asUser(user),
        ...[process.execPath, join(import.meta.dirname, 'rootless-driver.ts')],
        join(top, 'settings.json'),
      ],
      { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] },
    )
    const failed = once(child, 'exit').then(() => {
      throw new Error('the driver has ended')
    })
    await Promise.race([once(child, 'message'), failed])
    failed.catch(() => undefined)
    return createSandboxClient({ socketPath, kind: 'oci' })
  })
  return {
    ...sandboxes,
    show: (canaries) => writeFile(canariesFile, JSON.stringify(canaries)),
    close: async () => {
      if (child) {
        const ended = once(child, 'exit')
        child.kill('SIGTERM')
        await ended
      }
      await sandboxes.close()
      await user.remove()
    },
  }
}
