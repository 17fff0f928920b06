// The server as a program of its own, with nothing beside it but a database.
import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { nameOwnProcess } from './lib/process-identity.ts'
import { createId } from './protocol/ids.ts'
import { addressesOf } from './server.ts'
import { createDispatch } from './sessions/dispatch.ts'
import { defaultRules } from './sessions/rules/decide.ts'
import { exampleId, exampleSession } from './sessions/starting/new-session.fixture.ts'
import type { ServerSettings } from './settings.ts'
import { startTestDatabase, type TestDatabase } from './store/postgres/database.fixture.ts'

const DAY_MS = 24 * 3_600_000

let folder: string
let database: TestDatabase
let server: ChildProcess | undefined
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'errand-server-'))
  database = await startTestDatabase()
})
afterEach(async () => {
  if (server?.kill('SIGKILL')) await once(server, 'exit')
  await database.stop()
  await rm(folder, { recursive: true, force: true })
})

/** Resolves when it is ready. */
async function startServer(): Promise<void> {
  const keyFile = join(folder, 'sealing.key')
  await writeFile(keyFile, randomBytes(32))
  const agentStartFile = join(folder, 'agent-start.json')
  await writeFile(agentStartFile, JSON.stringify({ args: [], env: {} }))
  const settings: ServerSettings = {
    ...{ connection: database.connection, keyFile, logLevel: 'silent' },
    ...{ host: '127.0.0.1', port: 0, publicUrl: null, token: null, version: 'test' },
    ...{ agentStartFile, idleMinutes: 30, webDir: folder, namedImagesDir: folder, registries: [] },
    gitSocket: join(folder, 'gitd.sock'),
    gatewaySocket: join(folder, 'gateway.sock'),
    sandboxSocket: join(folder, 'sandboxd.sock'),
    ...{ modelKind: 'missing', modelInside: { form: { kind: 'messages' }, names: {} } },
    ...{ standbys: 0, standbyAgents: 0, concurrency: 1, layerBytes: 0, checkoutFiles: 1 },
    git: { branchTemplate: null, identity: null },
  }
  const config = join(folder, 'server.json')
  await writeFile(config, JSON.stringify(settings))
  const program = join(import.meta.dirname, 'server.ts')
  server = spawn(process.execPath, ['--no-warnings', program, '--config', config], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  const [said] = await once(server, 'message')
  expect(said).toHaveProperty('ready')
}

it('takes over what one held that was killed before it says that it is ready', async () => {
  const store = await database.openStore()
  const dispatch = createDispatch(store, { ...defaultRules, concurrency: 1 })
  await dispatch.create(exampleId('session', 1), exampleSession(1))
  // The number of this process, at a time at which it was another one.
  const killed = (await nameOwnProcess()).replace(/\d+$/, '1')
  await store.effects.claim({ workerId: killed, leaseMs: DAY_MS })
  const { environment, ownerId } = exampleSession(1)
  const claimLayer = (holder: string) =>
    store.layers.claim({
      ...{ key: 'one', holder, leaseMs: DAY_MS, ownerId, environmentId: environment.id },
      ...{ notBefore: new Date(0), waitingSince: undefined, recipe: { environment, files: [] } },
      ids: { layerId: createId('layer', randomBytes(20)), sandboxId: exampleId('session', 2) },
    })
  await claimLayer(`${killed} 1`)
  expect(await store.effects.holders()).toEqual([killed])
  await startServer()
  expect(await store.effects.holders()).not.toContain(killed)
  expect((await claimLayer('heir 1')).claimed).toBe(true)
})

it('answers to the addresses as browsers write them, on the usual port of the web as well', () => {
  expect(addressesOf({ host: '127.0.0.1', port: 80, publicUrl: null })).toEqual({
    hosts: ['127.0.0.1', 'localhost', '[::1]'],
    origins: ['http://127.0.0.1', 'http://localhost', 'http://[::1]'],
  })
  expect(addressesOf({ host: 'Build.lan', port: 7777, publicUrl: null })).toMatchObject({
    hosts: expect.arrayContaining(['build.lan:7777', 'localhost:7777']),
    origins: expect.arrayContaining(['http://build.lan:7777']),
  })
  const publicUrl = 'https://errand.example.org/'
  expect(addressesOf({ host: '0:0:0:0:0:0:0:1', port: 7777, publicUrl })).toEqual({
    hosts: ['errand.example.org', '[::1]:7777', '127.0.0.1:7777', 'localhost:7777'],
    origins: [
      'https://errand.example.org',
      ...['http://[::1]:7777', 'http://127.0.0.1:7777', 'http://localhost:7777'],
    ],
  })
})
