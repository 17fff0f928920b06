// Private upstreams for real: a credential opens what it should, reaches no other host, and shows up nowhere.
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { BRANCH, createScene, type Scene } from '../room.fixture.ts'

const SECRET = 'tok-9f3b2c7d1e'
const BASIC = Buffer.from(`ada:${SECRET}`).toString('base64')
const credential = { id: 'c_one', username: 'ada', secret: SECRET }

let scene: Scene

beforeEach(async () => {
  scene = await createScene({ user: 'ada', password: SECRET })
})

afterEach(async () => {
  await scene.close()
})

const withCredential = (secret = SECRET, id = 'c_one') => ({
  source: {
    kind: 'remote' as const,
    url: scene.upstream.url,
    credential: { ...credential, id, secret },
  },
})

const failureOf = (work: Promise<unknown>) =>
  work.then(
    () => ({ reason: 'nothing', message: '' }),
    ({ reason, message }) => ({ reason, message }),
  )

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
}

async function expectNoSecretOnDisk(): Promise<void> {
  for (const file of await filesBelow(scene.room.dataDir)) {
    const text = await readFile(file, 'latin1')
    expect([file, text.includes(SECRET), text.includes(BASIC)]).toEqual([file, false, false])
  }
}

it('reads and pushes with the credential, and leaves it nowhere', async () => {
  const { room, upstream } = scene
  const { clone, sessionId } = await scene.start({
    request: withCredential(),
    access: { credential },
  })
  const made = await room.workbench.commit(clone, { 'a.txt': 'a\n' })
  const { exitCode, stderr } = await room.workbench.run(clone, ['push', 'origin', BRANCH], {
    GIT_TRACE_CURL: '1',
  })
  expect(exitCode, stderr).toBe(0)
  expect(await room.workbench.git(upstream.directory, ['rev-parse', BRANCH])).toBe(made)
  expect(stderr).not.toContain(SECRET)
  expect(JSON.stringify(await room.observed(1))).not.toContain(SECRET)
  await expectNoSecretOnDisk()
  for (const file of await filesBelow(clone))
    expect(await readFile(file, 'latin1')).not.toContain(SECRET)
  expect(await room.client.forward({ sessionId, credential })).toMatchObject({
    outward: 'forwarded',
  })
})

it('takes the credential out of an address', async () => {
  const url = scene.upstream.url.replace('://', `://ada:${SECRET}@`)
  const { sessionId } = await scene.prepare({ source: { kind: 'remote', url } })
  const record = await readFile(
    join(scene.room.dataDir, 'sessions', `${sessionId}.git`, 'errand.json'),
    'utf8',
  )
  expect(JSON.parse(record)).toMatchObject({ outside: { url: scene.upstream.url } })
  await expectNoSecretOnDisk()
})

it('checks access at the start of every session, also when the mirror is there', async () => {
  await scene.prepare(withCredential())
  const wrong = await failureOf(scene.prepare(withCredential('wrong-secret')))
  expect(wrong.reason).toBe('repository_access_denied')
  expect(wrong.message).not.toContain('wrong-secret')
  const without = await failureOf(scene.prepare())
  expect(without.reason).toBe('repository_access_denied')
  scene.upstream.answer = (incoming, outgoing) => {
    incoming.resume()
    outgoing.writeHead(403).end()
  }
  expect((await failureOf(scene.prepare(withCredential()))).reason).toBe('repository_access_denied')
})

it('is not stopped by what a git that was ended left in the mirror', async () => {
  await scene.prepare(withCredential())
  const mirrors = join(scene.room.dataDir, 'mirrors')
  const [mirror = ''] = await readdir(mirrors)
  const locks = ['config.lock', 'HEAD.lock', 'packed-refs.lock', 'refs/heads/main.lock']
  // Once: what is asked after the refusal comes from a git that has been ended.
  const leave = () => {
    for (const name of locks.splice(0)) writeFileSync(join(mirrors, mirror, name), '')
  }
  scene.upstream.answer = (incoming, outgoing) => {
    leave()
    incoming.resume()
    outgoing.writeHead(403).end()
  }
  expect((await failureOf(scene.prepare(withCredential()))).reason).toBe('repository_access_denied')
  scene.upstream.answer = scene.upstream.serve
  const { checkout } = scene.upstream
  const made = await scene.room.workbench.commit(checkout, { 'a.txt': 'a\n' })
  await scene.room.workbench.git(checkout, [
    'push',
    '--quiet',
    scene.upstream.directory,
    'HEAD:main',
  ])
  expect(await scene.prepare(withCredential())).toMatchObject({ commit: made })
})

it('keeps what cannot go out for want of a credential that the host knows, and refuses what one may not', async () => {
  const { room, upstream } = scene
  const { clone, sessionId } = await scene.start({ request: withCredential() })
  await room.workbench.commit(clone, { 'a.txt': 'a\n' })
  const kept = await room.workbench.run(clone, ['push', 'origin', BRANCH])
  expect(kept.exitCode, kept.stderr).toBe(0)
  expect(await room.observed(1)).toMatchObject([{ outward: 'kept', reason: 'credential_missing' }])
  const made = await room.workbench.commit(clone, { 'b.txt': 'b\n' })
  const expired = { ...credential, secret: 'wrong-secret' }
  const door = room.door(sessionId, { credential: expired })
  const keptToo = await room.workbench.run(clone, ['push', door, BRANCH])
  expect(keptToo.exitCode, keptToo.stderr).toBe(0)
  expect(keptToo.stderr).toContain('errand: the host does not accept the credential')
  expect(keptToo.stderr).not.toContain('wrong-secret')
  const waits = { outward: 'kept', reason: 'credential_refused' }
  expect(await room.observed(1)).toMatchObject([{ accepted: true, ...waits }])
  expect(await room.client.forward({ sessionId, credential: expired })).toMatchObject(waits)
  expect(await room.client.forward({ sessionId, credential })).toMatchObject({
    ...{ outward: 'forwarded', commit: made },
  })
  await room.workbench.commit(clone, { 'c.txt': 'c\n' })
  upstream.answer = (incoming, outgoing) => {
    incoming.resume()
    outgoing.writeHead(403).end()
  }
  const refused = await room.workbench.run(clone, [
    'push',
    room.door(sessionId, { credential }),
    BRANCH,
  ])
  expect(refused.exitCode).toBe(1)
  expect(refused.stderr).toContain('The host refuses access')
  expect(await room.observed(1)).toMatchObject([
    { accepted: false, outward: 'refused', reason: 'repository_access_denied' },
  ])
})

it('shows another host nothing when it is redirected there', async () => {
  const seen: IncomingMessage['headers'][] = []
  const other = createServer((incoming, outgoing) => {
    seen.push(incoming.headers)
    outgoing.writeHead(404).end()
  })
  other.listen(0, '127.0.0.1')
  await once(other, 'listening')
  const { port } = other.address() as AddressInfo
  scene.upstream.answer = (incoming, outgoing) => {
    outgoing.writeHead(302, { location: `http://127.0.0.1:${port}${incoming.url}` }).end()
  }
  expect((await failureOf(scene.prepare(withCredential()))).reason).toBe('upstream_redirected')
  expect(seen).toEqual([])
  expect((await failureOf(scene.prepare())).reason).toBe('repository_not_found')
  expect(seen.length).toBeGreaterThan(0)
  expect(seen.every(({ authorization }) => authorization === undefined)).toBe(true)
  other.close()
})

it('passes the credential in no argument, seen while git waits for the upstream', async () => {
  const { upstream } = scene
  const held: (() => void)[] = []
  const waiting = Promise.withResolvers<void>()
  upstream.answer = (incoming, outgoing) => {
    held.push(() => upstream.serve(incoming, outgoing))
    waiting.resolve()
  }
  const prepared = scene.prepare(withCredential())
  await waiting.promise
  const lines: string[] = []
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name)))
    lines.push(await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => ''))
  expect(lines.filter((line) => line.includes(upstream.url)).length).toBeGreaterThan(0)
  expect(lines.filter((line) => line.includes(SECRET) || line.includes(BASIC))).toEqual([])
  upstream.answer = upstream.serve
  for (const release of held) release()
  await prepared
})

it('sends everything through the proxy that it is given', async () => {
  const asked: string[] = []
  const proxy = createServer()
  proxy.on('request', (incoming: IncomingMessage, outgoing) => {
    asked.push(incoming.url ?? '')
    outgoing.writeHead(403).end()
  })
  proxy.on('connect', (incoming: IncomingMessage, socket) => {
    asked.push(`CONNECT ${incoming.url}`)
    // A git that has read the refusal may be gone before the connection is closed.
    socket.on('error', () => socket.destroy())
    socket.end('HTTP/1.1 403 Forbidden\r\nx-deny-reason: host_not_allowed\r\n\r\n')
  })
  proxy.listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  const proxyUrl = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`
  const other = await createScene({ network: { proxyUrl } })
  const reason = async (url: string) =>
    (await failureOf(other.prepare({ source: { kind: 'remote', url } }))).reason
  expect(await reason('http://127.0.0.1:9/x.git')).toBe('repository_access_denied')
  expect(await reason('https://example.invalid/x.git')).toBe('upstream_not_allowed')
  expect(await reason('ssh://git@example.invalid/x.git')).toBe('upstream_not_allowed')
  expect(new Set(asked.map((line) => line.split('?')[0]))).toEqual(
    new Set([
      'http://127.0.0.1:9/x.git/info/refs',
      'CONNECT example.invalid:443',
      'CONNECT example.invalid:22',
    ]),
  )
  await other.close()
  proxy.close()
})

it('holds two credentials apart', async () => {
  await scene.prepare(withCredential())
  await scene.prepare(withCredential(SECRET, 'c_two'))
  expect(await readdir(join(scene.room.dataDir, 'mirrors'))).toHaveLength(2)
})
