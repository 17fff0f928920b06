// What the gateway keeps current: a notification whose read fails, as while the database is away, is not forgotten.
import { expect, it } from 'vitest'
import { createSilentLogger } from '../lib/logger.ts'
import { installationNetworkSchema } from '../protocol/installation-network.ts'
import type { SessionState } from '../protocol/session.ts'
import type { OpenCredential } from '../store/credentials.ts'
import { nextTestId, testState } from '../store/session.fixture.ts'
import { createCredentialWatch } from './credentials.ts'
import { createNetworkWatch } from './network.ts'
import { createSessionWatch } from './sessions.ts'

const OWNER = 'owner'
const logger = createSilentLogger()
const never = () => () => undefined

/** Answers with what is there now, after as many failures as the test says. */
function createSource<T>(first: T) {
  const source = {
    now: first,
    failures: 0,
    read: async () => {
      if (source.failures === 0) return source.now
      source.failures -= 1
      throw new Error('the database is away')
    },
  }
  return source
}

/** Tells whoever listens. */
function createSignal<T extends unknown[]>() {
  const listeners: ((...args: T) => void)[] = []
  return {
    on: (listener: (...args: T) => void) => {
      listeners.push(listener)
      return () => undefined
    },
    tell: (...args: T) => {
      for (const listener of listeners) listener(...args)
    },
  }
}

it('reads a session again until it can', async () => {
  const id = nextTestId()
  const state = (lastSeq: number) => testState(id, { lastSeq, now: new Date(0) }) as SessionState
  const source = createSource(state(1))
  const told = createSignal<[string, number]>()
  const seen: number[] = []
  const watch = createSessionWatch({
    directory: { get: source.read } as never,
    notifications: { onSession: told.on, onReconnect: never } as never,
    installation: { registries: [], allowedNetworks: [], namedImagesDir: '/nonexistent' },
    network: () => installationNetworkSchema.parse({}),
    credentials: {
      get: () => ({ bound: [] }) as never,
      version: () => 1,
      follow: async () => undefined,
    },
    onChange: (session) => seen.push(session.state.lastSeq),
    onRules: () => undefined,
    logger,
  })
  await watch.follow(id)
  source.now = state(2)
  source.failures = 2
  told.tell(id, 2)
  await expect.poll(() => seen).toEqual([1, 2])
  watch.close()
})

it('reads the credentials of an owner again until it can', async () => {
  const source = createSource<OpenCredential[]>([])
  const told = createSignal<[string]>()
  let changes = 0
  const watch = createCredentialWatch({
    store: { openAll: source.read, noteUse: async () => undefined },
    notifications: { onCredentials: told.on, onReconnect: never },
    ...{ modelHost: null, modelSecrets: () => [], onChange: () => changes++, logger },
  })
  await watch.follow(OWNER)
  const before = watch.version(OWNER)
  source.failures = 2
  told.tell(OWNER)
  await expect.poll(() => changes).toBe(1)
  expect(watch.version(OWNER)).not.toBe(before)
  watch.close()
})

it('is not overtaken by the first reading of the credentials of an owner', async () => {
  const credential = (secret: string) =>
    ({ kind: 'bearer', host: 'api.example', username: '', secret }) as OpenCredential
  const first = Promise.withResolvers<OpenCredential[]>()
  const readings = [first.promise, Promise.resolve([credential('new secret')])]
  const told = createSignal<[string]>()
  const changed = Promise.withResolvers<void>()
  const watch = createCredentialWatch({
    store: { openAll: () => readings.shift() ?? Promise.reject(), noteUse: async () => undefined },
    notifications: { onCredentials: told.on, onReconnect: never },
    ...{ modelHost: null, modelSecrets: () => [], onChange: changed.resolve, logger },
  })
  const followed = watch.follow(OWNER)
  told.tell(OWNER)
  await new Promise(setImmediate)
  first.resolve([credential('old secret')])
  await Promise.all([followed, changed.promise])
  expect(watch.get(OWNER, '').redactor.text('new secret')).not.toContain('new secret')
  watch.close()
})

it("reads the installation's network again until it can", async () => {
  const network = (deny: string[]) => installationNetworkSchema.parse({ deny })
  const source = createSource(network([]))
  const told = createSignal<[]>()
  const watch = await createNetworkWatch({
    store: { get: source.read },
    notifications: { onInstallation: told.on, onReconnect: never },
    ...{ onChange: () => undefined, logger },
  })
  source.now = network(['bad.example'])
  source.failures = 2
  told.tell()
  await expect.poll(watch.get).toEqual(source.now)
  watch.close()
})
