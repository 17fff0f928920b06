// Large files through the door with the real git-lfs: to the LFS server of the repository and back, and kept here without one.
import { createHash, randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { lfsReasonIn } from '../../protocol/git-door.ts'
import { BRANCH, createScene, OWNER, type Scene } from '../room.fixture.ts'
import { createLfsServer, type LfsServer } from './lfs-server.fixture.ts'

const CREDENTIAL = { id: 'c1', username: 'ann', secret: 'very-secret-token' }
const BATCH = '/project.git/info/lfs/objects/batch'

let scene: Scene
let server: LfsServer

beforeEach(async () => {
  server = await createLfsServer()
  scene = await createScene({ user: CREDENTIAL.username, password: CREDENTIAL.secret })
  const { upstream } = scene
  const expected = `Basic ${Buffer.from(`${CREDENTIAL.username}:${CREDENTIAL.secret}`).toString('base64')}`
  upstream.answer = (incoming, outgoing) => {
    if (incoming.url !== BATCH) upstream.serve(incoming, outgoing)
    else if (incoming.headers.authorization === expected) void server.batch(incoming, outgoing)
    else outgoing.writeHead(401).end('{"message":"who are you"}')
  }
})

afterEach(async () => {
  server.close()
  await scene.close()
})

const git = (folder: string, ...args: string[]) => scene.room.workbench.git(folder, args)

/** A commit with one large file on the session's branch. */
async function commitLarge(clone: string, content: Buffer): Promise<string> {
  await git(clone, 'lfs', 'install', '--local')
  await git(clone, 'lfs', 'track', '*.bin')
  return scene.room.workbench.commit(clone, { 'big.bin': content })
}

async function cloneWithFiles(url: string, name: string): Promise<Buffer> {
  const folder = join(scene.room.root, name)
  await git(scene.room.root, 'clone', '--quiet', `--branch=${BRANCH}`, url, folder)
  await git(folder, 'lfs', 'install', '--local')
  await git(folder, 'lfs', 'pull')
  return readFile(join(folder, 'big.bin'))
}

const askDoor = async (url: string, operation: string, oid = 'a'.repeat(64)) => {
  const body = JSON.stringify({ operation, transfers: ['basic'], objects: [{ oid, size: 3 }] })
  const response = await fetch(`${url}/info/lfs/objects/batch`, { method: 'POST', body })
  return { status: response.status, text: await response.text() }
}

it('moves large files to the server of the repository and back, and keeps the credential to its host', async () => {
  const source = { kind: 'remote' as const, url: scene.upstream.url, credential: CREDENTIAL }
  const access = { credential: CREDENTIAL }
  const { clone, sessionId } = await scene.start({ request: { source }, access })
  const content = randomBytes(3 << 20)
  await commitLarge(clone, content)
  const pushed = await scene.room.workbench.run(clone, ['push', 'origin', BRANCH])
  expect(pushed.exitCode, pushed.stderr).toBe(0)
  const oid = createHash('sha256').update(content).digest('hex')
  expect(server.objects.get(oid)?.equals(content)).toBe(true)

  expect((await cloneWithFiles(scene.room.door(sessionId, access), 'again')).equals(content)).toBe(
    true,
  )
  expect(server.transfers.map(({ method }) => method)).toEqual(['PUT', 'GET'])
  // Another origin gets what the server signed for it, and never the credential.
  for (const transfer of server.transfers)
    expect(transfer).toMatchObject({ authorization: undefined, signed: 'let-me-in' })
  const door = scene.room.door(sessionId, access)
  const { text } = await askDoor(door, 'download', oid)
  expect(JSON.parse(text).objects[0].actions.download.href).toBe(`${door}/info/lfs/objects/${oid}`)
  expect(text).not.toMatch(/let-me-in|very-secret/)
})

it('uploads only where a push may go, and says what the server says', async () => {
  const source = { kind: 'remote' as const, url: scene.upstream.url, credential: CREDENTIAL }
  const { sessionId } = await scene.prepare({ source })
  const readOnly = scene.room.door(sessionId, { credential: CREDENTIAL, readOnly: true })
  expect(await askDoor(readOnly, 'upload')).toMatchObject({
    ...{ status: 403, text: expect.stringContaining('read-only here') },
  })
  expect((await askDoor(readOnly, 'download')).status).toBe(200)
  const stranger = scene.room.door(sessionId)
  expect(await askDoor(stranger, 'download')).toMatchObject({
    ...{ status: 403, text: expect.stringContaining('answered 401: who are you') },
  })
  // In the words, which are all that git-lfs hands on.
  const { message } = JSON.parse((await askDoor(stranger, 'download')).text)
  expect(lfsReasonIn(message)).toBe('lfs_credential_missing')
  expect((await askDoor(stranger, 'delete')).text).toContain('lfs_request_invalid')
  const unasked = await fetch(`${stranger}/info/lfs/objects/${'b'.repeat(64)}`)
  expect(await unasked.text()).toContain('lfs_object_not_asked')
})

it('follows no redirect with a credential', async () => {
  const seen: unknown[] = []
  const elsewhere = createServer((incoming, outgoing) => {
    seen.push(incoming.headers)
    outgoing.end('{}')
  })
  await new Promise<void>((resolve) => elsewhere.listen(0, '127.0.0.1', resolve))
  const location = `http://127.0.0.1:${(elsewhere.address() as AddressInfo).port}${BATCH}`
  const source = { kind: 'remote' as const, url: scene.upstream.url, credential: CREDENTIAL }
  const { sessionId } = await scene.prepare({ source })
  scene.upstream.answer = (_, outgoing) => outgoing.writeHead(307, { location }).end()
  const door = scene.room.door(sessionId, { credential: CREDENTIAL })
  expect((await askDoor(door, 'download')).text).toContain('lfs_redirect_refused')
  expect(seen).toEqual([])
  elsewhere.close()
})

it('keeps large files of a repository without an outside, for its session and those that go on from it', async () => {
  const { client, workbench } = scene.room
  const { uploadId } = await client.createUpload(OWNER)
  const { checkout } = scene.upstream
  await git(checkout, 'push', '--quiet', scene.room.door(uploadId), 'HEAD:refs/heads/main')
  const source = { kind: 'upload' as const, uploadId }
  const { clone, sessionId } = await scene.start({ request: { source } })
  const content = randomBytes(1 << 20)
  await commitLarge(clone, content)
  const pushed = await workbench.run(clone, ['push', 'origin', BRANCH])
  expect(pushed.exitCode, pushed.stderr).toBe(0)
  expect((await cloneWithFiles(scene.room.door(sessionId), 'again')).equals(content)).toBe(true)

  const from = { kind: 'session' as const, sessionId }
  const child = await scene.prepare({ source: from, branch: 'errand/more' })
  await client.removeSession(sessionId)
  expect((await cloneWithFiles(scene.room.door(child.sessionId), 'child')).equals(content)).toBe(
    true,
  )

  const door = scene.room.door(child.sessionId)
  const oid = createHash('sha256').update('abc').digest('hex')
  expect((await askDoor(door, 'upload', oid)).status).toBe(200)
  const wrong = await fetch(`${door}/info/lfs/objects/${oid}`, { method: 'PUT', body: 'abd' })
  expect(await wrong.text()).toContain('lfs_content_wrong')
  const long = await fetch(`${door}/info/lfs/objects/${oid}`, { method: 'PUT', body: 'abcd' })
  expect(await long.text()).toContain('lfs_size_wrong')
  expect((await askDoor(door, 'download', oid)).text).toContain('does not have this file')
  const right = await fetch(`${door}/info/lfs/objects/${oid}`, { method: 'PUT', body: 'abc' })
  expect(right.status).toBe(200)
  expect((await askDoor(door, 'download', oid)).text).toContain('download')
})
