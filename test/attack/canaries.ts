// What the suite puts on this machine to be found, and takes away again: files, a process, shared memory, a disk and a
// socket that stand for those of the host and of another session.
import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes, randomInt } from 'node:crypto'
import { once } from 'node:events'
import { chmod, mkdir, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import type { Targets } from '../../src/attack/attack-case.ts'
import { runChecked } from '../../src/lib/process.ts'
import { createId } from '../../src/protocol/ids.ts'
import { FORBIDDEN, type NamedTargets, PUBLIC_ADDRESS } from './own-network.ts'
import { newSecret, type Sandboxes } from './sandboxes.ts'

export interface Canaries extends Omit<Targets, keyof NamedTargets> {
  hostDir: string
  /** Whose process it is: an id that no sandbox of the test has. */
  processUid: number
  remove(): Promise<void>
}

export async function placeCanaries({ hostDir, doorsDir }: Sandboxes): Promise<Canaries> {
  const secret = newSecret()
  const otherSession = createId('session', randomBytes(20))
  const otherDoor = join(doorsDir, otherSession)
  await chmod(hostDir, 0o755)
  await writeFile(join(hostDir, 'secret'), `${secret}\n`, { mode: 0o644 })
  await writeFile(join(hostDir, 'root-only'), `${secret}\n`, { mode: 0o600 })
  const device = await attachDisk(hostDir, secret)
  const processUid = 0x60000000
  const processMark = `mark-${randomBytes(12).toString('hex')}`
  const other = spawn(
    'setpriv',
    [
      ...[`--reuid=${processUid}`, `--regid=${processUid}`, '--clear-groups'],
      ...['bash', '-c', `exec -a ${processMark} sleep 3600`],
    ],
    { env: { SECRET: secret }, stdio: 'ignore' },
  )
  const server = await listenAt(otherDoor)
  const memory = await shareMemory(secret)
  return {
    ...{ hostDir, processUid, secret, processMark, otherDoor, otherSession },
    hostFile: join(hostDir, 'secret'),
    sharedMemoryKey: memory.key,
    ...{ forbidden: FORBIDDEN, publicAddress: PUBLIC_ADDRESS },
    remove: async () => {
      await endChild(other)
      await memory.remove()
      server.close()
      await rm(otherDoor, { recursive: true, force: true })
      await runChecked('losetup', ['--detach', device])
    },
  }
}

/** A block device whose first bytes are the secret; its minor number lies in `minor`. */
async function attachDisk(hostDir: string, secret: string): Promise<string> {
  const image = join(hostDir, 'sandboxes.img')
  await writeFile(image, secret.padEnd(1 << 20, '\n'), { mode: 0o600 })
  const device = (await runChecked('losetup', ['--find', '--show', image])).trim()
  await writeFile(join(hostDir, 'minor'), device.replace(/^\D+/, ''), { mode: 0o644 })
  return device
}

async function shareMemory(secret: string) {
  const key = randomInt(0x10000000, 0x7fffffff)
  const script = `my $id = shmget(${key}, 4096, 0666 | 01000) or die; shmwrite($id, "${secret}", 0, 64) or die; print $id`
  const id = await runChecked('perl', ['-e', script])
  return { key, remove: () => runChecked('perl', ['-e', `shmctl(${id}, 0, 0)`]) }
}

async function listenAt(folder: string): Promise<Server> {
  await mkdir(folder, { recursive: true })
  await chmod(folder, 0o755)
  const server = createServer((socket) => socket.end())
  server.listen(join(folder, 'gateway.sock'))
  await once(server, 'listening')
  await chmod(join(folder, 'gateway.sock'), 0o666)
  return server
}

async function endChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGKILL')
  await once(child, 'exit')
}
