// ssh upstreams for real: an sshd of its own on loopback, reached through a CONNECT proxy. Needs openssh-server and root.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { runChecked } from '../lib/process.ts'
import { BRANCH, createScene, type Scene } from './room.fixture.ts'

let scene: Scene
let proxy: Server
let asked: string[]
let ssh: TestSsh

interface TestSsh {
  url: string
  /** A private key that may log in, and one that may not. */
  key: string
  strangeKey: string
  hostKey: string
  port: number
  child: ChildProcess
}

beforeEach(async () => {
  asked = []
  proxy = createServer()
  proxy.on('connect', (incoming, socket, head) => {
    asked.push(incoming.url ?? '')
    const [host = '', port = ''] = (incoming.url ?? '').split(':')
    const target = connect(Number(port), host, () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n')
      target.write(head)
      target.pipe(socket).pipe(target)
    })
    target.on('error', () => socket.destroy())
    socket.on('error', () => target.destroy())
  })
  proxy.listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  const { port } = proxy.address() as AddressInfo
  scene = await createScene({ network: { proxyUrl: `http://127.0.0.1:${port}` } })
  ssh = await startSsh(join(scene.room.root, 'ssh'), scene.upstream.directory)
})

afterEach(async () => {
  ssh.child.kill()
  proxy.close()
  await scene.close()
})

async function startSsh(folder: string, repository: string): Promise<TestSsh> {
  await mkdir('/run/sshd', { recursive: true })
  await mkdir(folder)
  for (const name of ['host', 'user', 'strange'])
    await runChecked('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(folder, name)])
  const key = (name: string) => readFile(join(folder, name), 'utf8')
  await writeFile(join(folder, 'authorized_keys'), await key('user.pub'))
  const port = await freePort()
  const config = [
    `Port ${port}`,
    'ListenAddress 127.0.0.1',
    `HostKey ${join(folder, 'host')}`,
    `AuthorizedKeysFile ${join(folder, 'authorized_keys')}`,
    `PidFile ${join(folder, 'pid')}`,
    'StrictModes no',
    'UsePAM no',
    'PermitRootLogin prohibit-password',
  ]
  await writeFile(join(folder, 'config'), `${config.join('\n')}\n`)
  const child = spawn('/usr/sbin/sshd', ['-D', '-e', '-f', join(folder, 'config')], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  for await (const chunk of child.stderr) if (String(chunk).includes('listening')) break
  const url = `ssh://root@127.0.0.1:${port}${repository}`
  return {
    url,
    key: await key('user'),
    strangeKey: await key('strange'),
    hostKey: await key('host.pub'),
    port,
    child,
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

const source = (secret?: string, knownHosts?: string) => ({
  source: {
    kind: 'remote' as const,
    url: ssh.url,
    credential: secret ? { id: 'c_ssh', secret, knownHosts } : null,
  },
})

const reasonOf = (work: Promise<unknown>) =>
  work.then(
    () => 'nothing',
    (error) => error.reason,
  )

it('fetches and pushes with a key, through the proxy, and leaves no key behind', async () => {
  const { room, upstream } = scene
  const access = { credential: { id: 'c_ssh', secret: ssh.key } }
  const { clone } = await scene.start({ request: source(ssh.key), access })
  const made = await room.workbench.commit(clone, { 'a.txt': 'a\n' })
  const { exitCode, stderr } = await room.workbench.run(clone, ['push', 'origin', BRANCH])
  expect(exitCode, stderr).toBe(0)
  expect(await room.workbench.git(upstream.directory, ['rev-parse', BRANCH])).toBe(made)
  expect(await room.observed(1)).toMatchObject([{ outward: 'forwarded' }])
  expect(new Set(asked)).toEqual(new Set([`127.0.0.1:${ssh.port}`]))
  expect(await readdir(join(room.dataDir, 'tmp'))).toEqual([])
})

it('says why ssh does not open', async () => {
  expect(await reasonOf(scene.prepare(source(ssh.strangeKey)))).toBe('repository_access_denied')
  expect(await reasonOf(scene.prepare(source()))).toBe('repository_access_denied')
  const absent = {
    kind: 'remote' as const,
    url: `${ssh.url}-absent`,
    credential: { id: 'c_ssh', secret: ssh.key },
  }
  expect(await reasonOf(scene.prepare({ source: absent }))).toBe('repository_not_found')
  expect(await readdir(join(scene.room.dataDir, 'tmp'))).toEqual([])
})

it('wants the host key that it was given, or the one that it saw first', async () => {
  const name = `[127.0.0.1]:${ssh.port}`
  const [type, body] = ssh.hostKey.split(' ')
  expect(await reasonOf(scene.prepare(source(ssh.key, `${name} ${type} ${body}\n`)))).toBe(
    'nothing',
  )
  const other = (await readFile(join(scene.room.root, 'ssh', 'strange.pub'), 'utf8'))
    .split(' ')
    .slice(0, 2)
    .join(' ')
  expect(await reasonOf(scene.prepare(source(ssh.key, `${name} ${other}\n`)))).toBe(
    'upstream_host_key_changed',
  )
  expect(await reasonOf(scene.prepare(source(ssh.key)))).toBe('nothing')
  const known = join(scene.room.dataDir, 'known_hosts')
  expect(await readFile(known, 'utf8')).toContain(body)
  await writeFile(known, `${name} ${other}\n`)
  expect(await reasonOf(scene.prepare(source(ssh.key)))).toBe('upstream_host_key_changed')
})
