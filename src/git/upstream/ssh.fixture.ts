// A git host that speaks ssh, for tests: an sshd with keys of its own, which lets root in at the repositories of this machine. Needs
// openssh-server and root.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { runChecked } from '../../lib/process.ts'

export interface TestSsh {
  /** A path of this machine behind it is a repository. */
  url: string
  /** A private key that may log in, and one that may not. */
  key: string
  strangeKey: string
  hostKey: string
  port: number
  close(): void
}

/** `host` is where it listens, `name` how that is called; loopback unless told. */
export async function startSsh(
  folder: string,
  { host, name } = { host: '127.0.0.1', name: '127.0.0.1' },
): Promise<TestSsh> {
  await mkdir('/run/sshd', { recursive: true })
  await mkdir(folder)
  for (const key of ['host', 'user', 'strange'])
    await runChecked('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(folder, key)])
  const key = (file: string) => readFile(join(folder, file), 'utf8')
  await writeFile(join(folder, 'authorized_keys'), await key('user.pub'))
  const port = await freePort(host)
  const config = [
    `Port ${port}`,
    `ListenAddress ${host}`,
    `HostKey ${join(folder, 'host')}`,
    `AuthorizedKeysFile ${join(folder, 'authorized_keys')}`,
    `PidFile ${join(folder, 'pid')}`,
    `SetEnv PATH=${join(folder, 'bin')}:/usr/local/bin:/usr/bin:/bin`,
    'StrictModes no',
    'UsePAM no',
    'PermitRootLogin prohibit-password',
  ]
  await writeFile(join(folder, 'config'), `${config.join('\n')}\n`)
  const child = spawn('/usr/sbin/sshd', ['-D', '-e', '-f', join(folder, 'config')], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  for await (const chunk of child.stderr) if (String(chunk).includes('listening')) break
  return {
    url: `ssh://root@${name}:${port}`,
    key: await key('user'),
    strangeKey: await key('strange'),
    hostKey: await key('host.pub'),
    port,
    close: () => void child.kill(),
  }
}

async function freePort(host: string): Promise<number> {
  const server = createServer().listen(0, host)
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
