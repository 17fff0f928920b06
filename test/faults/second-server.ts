// A second server program of a running installation, at a port of its own: the same database, gitd, sandboxd and gateway.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chown, readFile, stat, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { type Client, createClient } from '../../src/client/client.ts'
import type { ServerSettings } from '../../src/settings.ts'
import type { Installation } from '../e2e/installation.ts'
import { findProgram, runtimeDirOf } from './processes.ts'

export interface SecondServer {
  pid: number
  client: Client
  stop(): Promise<void>
}

export async function startSecondServer(errand: Installation): Promise<SecondServer> {
  const runtimeDir = runtimeDirOf(errand.dataDir)
  const first = join(runtimeDir, 'settings/server.json')
  const settings: ServerSettings = JSON.parse(await readFile(first, 'utf8'))
  const port = await findFreePort()
  const path = join(runtimeDir, 'settings/second.json')
  const { uid, gid } = await stat(first)
  await writeFile(path, JSON.stringify({ ...settings, port, token: errand.token }), { mode: 0o600 })
  await chown(path, uid, gid)
  // It sees code and data where the others see them.
  const inside = ['--target', String(findProgram(errand.dataDir, 'server')), '--mount']
  const asServer = ['--setuid', String(uid), '--setgid', String(gid)]
  const program = [join(runtimeDir, 'node'), join(runtimeDir, 'code/dist/programs/server.mjs')]
  const child = spawn('nsenter', [...inside, ...asServer, '--', ...program, '--config', path], {
    cwd: '/',
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  const url = await untilReady(child)
  const { pid = 0 } = child
  return {
    pid,
    client: createClient({ baseUrl: url, token: errand.token }),
    stop: async () => {
      child.kill('SIGKILL')
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
    },
  }
}

function untilReady(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    child.once('message', (message: { ready?: { url: string } }) => {
      if (message.ready) resolve(message.ready.url)
      else reject(new Error(JSON.stringify(message)))
    })
    child.once('error', reject)
    child.once('exit', (code) => reject(new Error(`the second server ended with ${code}`)))
  })
}

async function findFreePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address() as AddressInfo
  probe.close()
  await once(probe, 'close')
  return port
}
