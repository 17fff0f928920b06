// ssh upstreams for real: an sshd of its own on loopback, reached through a CONNECT proxy.
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { createServer, request, type Server } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createLfsServer, type LfsServer } from '../lfs/lfs-server.fixture.ts'
import { BRANCH, createScene, reasonOf, type Scene } from '../room.fixture.ts'
import { startSsh, type TestSsh } from './ssh.fixture.ts'

let scene: Scene
let proxy: Server
let asked: string[]
let ssh: TestSsh
let url: string

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
  proxy.on('request', (incoming, outgoing) => {
    const { method, url = '', headers } = incoming
    const forwarded = request(url, { method, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(outgoing)
    })
    incoming.pipe(forwarded)
  })
  proxy.listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  const { port } = proxy.address() as AddressInfo
  scene = await createScene({ network: { proxyUrl: `http://127.0.0.1:${port}` } })
  ssh = await startSsh(join(scene.room.root, 'ssh'))
  url = `${ssh.url}${scene.upstream.directory}`
})

afterEach(async () => {
  ssh.close()
  proxy.close()
  await scene.close()
})

const source = (secret?: string, knownHosts?: string) => ({
  source: {
    kind: 'remote' as const,
    url,
    credential: secret ? { id: 'c_ssh', secret, knownHosts } : null,
  },
})

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

it('reads a submodule over ssh with the key that it is given, and with none nothing', async () => {
  const { sessionId } = await scene.prepare(source(ssh.key))
  const credential = { id: 'c_ssh', secret: ssh.key }
  const { room, upstream } = scene
  const read = (url: string) => room.workbench.run(room.root, ['ls-remote', url, 'main'])
  const head = await room.workbench.git(upstream.directory, ['rev-parse', 'main'])
  const opened = await read(room.door(sessionId, { submodule: url, credential }))
  expect(opened.stdout).toContain(head)
  const closed = await read(room.door(sessionId, { submodule: url }))
  expect([closed.exitCode, closed.stdout]).toEqual([128, ''])
})

it('says why ssh does not open', async () => {
  expect(await reasonOf(scene.prepare(source(ssh.strangeKey)))).toBe('repository_access_denied')
  expect(await reasonOf(scene.prepare(source()))).toBe('repository_access_denied')
  const absent = {
    kind: 'remote' as const,
    url: `${url}-absent`,
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

describe('large files', () => {
  /** As the host hands it out over ssh; opens its LFS server. */
  const HANDED_OUT = 'RemoteAuth handed-out-over-ssh'
  let lfs: LfsServer
  let batches: Server
  let refused: string[]

  beforeEach(async () => {
    lfs = await createLfsServer()
    refused = []
    batches = createServer((incoming, outgoing) => {
      const { authorization = '' } = incoming.headers
      if (incoming.url === '/lfs/objects/batch' && authorization === HANDED_OUT)
        return void lfs.batch(incoming, outgoing)
      refused.push(authorization)
      outgoing.writeHead(403).end(JSON.stringify({ message: `not with ${authorization}` }))
    })
    batches.listen(0, '127.0.0.1')
    await once(batches, 'listening')
  })
  afterEach(() => {
    batches.close()
    batches.closeAllConnections()
    lfs.close()
  })

  /** What `git-lfs-authenticate` answers at the host, which keeps what it was asked. */
  async function answerWith(text: string): Promise<string> {
    const bin = join(scene.room.root, 'ssh', 'bin')
    await mkdir(bin)
    const asked = join(bin, 'asked')
    await writeFile(join(bin, 'answer'), text)
    await writeFile(
      join(bin, 'git-lfs-authenticate'),
      `#!/bin/sh\necho "$@" >> '${asked}'\ncat '${bin}/answer'\n`,
      { mode: 0o755 },
    )
    return asked
  }
  const endpoint = (header: Record<string, string>) => {
    const { port } = batches.address() as AddressInfo
    return JSON.stringify({ href: `http://127.0.0.1:${port}/lfs`, header, expires_in: 60 })
  }
  const access = () => ({ credential: { id: 'c_ssh', secret: ssh.key } })
  const git = (folder: string, ...args: string[]) => scene.room.workbench.run(folder, args)

  it('go to the server that the host names over ssh, and come from there', async () => {
    const asked = await answerWith(endpoint({ Authorization: HANDED_OUT }))
    const { clone, sessionId } = await scene.start({
      ...{ request: source(ssh.key), access: access() },
    })
    await git(clone, 'lfs', 'install', '--local')
    await git(clone, 'lfs', 'track', '*.bin')
    const content = randomBytes(2 << 20)
    await scene.room.workbench.commit(clone, { 'big.bin': content })
    const pushed = await git(clone, 'push', 'origin', BRANCH)
    expect(pushed.exitCode, pushed.stderr).toBe(0)
    expect([...lfs.objects.values()].map((one) => one.equals(content))).toEqual([true])

    const again = join(scene.room.root, 'again')
    const door = scene.room.door(sessionId, access())
    await git(scene.room.root, 'clone', '--quiet', `--branch=${BRANCH}`, door, again)
    await git(again, 'lfs', 'install', '--local')
    const pulled = await git(again, 'lfs', 'pull')
    expect(pulled.exitCode, pulled.stderr).toBe(0)
    expect((await readFile(join(again, 'big.bin'))).equals(content)).toBe(true)
    const path = scene.upstream.directory
    expect(new Set((await readFile(asked, 'utf8')).trim().split('\n'))).toEqual(
      new Set([`${path} upload`, `${path} download`]),
    )
    // Where the files lie gets what the server signed for it, and neither the key nor what ssh handed out.
    expect(new Set(lfs.transfers.map((one) => one.authorization))).toEqual(new Set([undefined]))
    expect(refused).toEqual([])
    expect(await readdir(join(scene.room.dataDir, 'tmp'))).toEqual([])
  })

  const ask = async () => {
    const { sessionId } = await scene.prepare(source(ssh.key))
    const objects = [{ oid: 'a'.repeat(64), size: 3 }]
    const body = JSON.stringify({ operation: 'download', transfers: ['basic'], objects })
    const door = scene.room.door(sessionId, access())
    const response = await fetch(`${door}/info/lfs/objects/batch`, { method: 'POST', body })
    return response.text()
  }

  it('say what the host says, without what opens its server', async () => {
    await answerWith(endpoint({ Authorization: 'RemoteAuth expired-0123456789' }))
    const said = await ask()
    expect(said).toContain('answered 403: not with [redacted]')
    expect(said).not.toMatch(/expired-0123456789|PRIVATE KEY/)
    expect(refused).toEqual(['RemoteAuth expired-0123456789'])
  })

  it('are refused where the host names no server, or one of another protocol', async () => {
    expect(await ask()).toContain('names no place for large files')
    await answerWith(JSON.stringify({ href: 'file:///etc', header: {} }))
    expect(await ask()).toContain('its answer cannot be read')
  })
})
