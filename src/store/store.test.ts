import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import { createSilentLogger } from '../lib/logger.ts'
import { bindingSchema } from '../protocol/credential.ts'
import { environmentFieldsSchema } from '../protocol/environment.ts'
import { createId } from '../protocol/ids.ts'
import { startTestDatabase, type TestDatabase } from './postgres/database.fixture.ts'
import { clientConfig } from './postgres/database.ts'
import { makeTables } from './postgres/dump.ts'
import { openStore, type Store } from './store.ts'

let database: TestDatabase
let store: Store
let nowMs = Date.parse('2030-01-01T00:00:00Z')

beforeAll(async () => {
  database = await startTestDatabase()
  store = await database.openStore({ clock: () => new Date(nowMs++) })
})
afterAll(() => database.stop())

async function onNewDatabase<T>(name: string, work: (url: string) => Promise<T>): Promise<T> {
  await store.pool.query(`create database ${name}`)
  const folder = encodeURIComponent(database.connection.host)
  return work(`postgres://errand@/${name}?host=${folder}`)
}

const fields = (name: string) => environmentFieldsSchema.parse({ name })

test('programs that open a new database at once all find its tables', async () => {
  await onNewDatabase('together', async (databaseUrl) => {
    const options = { connection: { databaseUrl }, logger: createSilentLogger() }
    const stores = await Promise.all([1, 2, 3].map(() => openStore(options)))
    for (const each of stores) {
      expect((await each.sessions.list({ limit: 1 })).sessions).toEqual([])
      await each.close()
    }
  })
})

test('a database of an earlier version is brought to this one, whatever a turn has failed with', async () => {
  await onNewDatabase('earlier', async (databaseUrl) => {
    const connection = { databaseUrl }
    await makeTables(connection, '0010-first-turns')
    const client = new pg.Client(clientConfig(connection))
    await client.connect()
    const id = `s_${'a'.repeat(20)}`
    await client.query(
      `insert into sessions (id, owner_id, status, sandbox_state, state, last_seq, created_at, updated_at)
       values ($1, 'ann', 'failed', 'none', '{}', 1, now(), now())`,
      [id],
    )
    const body = { type: 'turn.failed', turnId: 't_1', reason: 'agent_died', message: 'a\0 \udc00' }
    await client.query(
      `insert into events (session_id, seq, at, source, type, body)
       values ($1, 1, now(), 'claimed', 'turn.failed', $2)`,
      [id, JSON.stringify(body)],
    )
    await (await openStore({ connection, logger: createSilentLogger() })).close()
    const { rows } = await client.query('select state from sessions')
    expect(rows).toEqual([{ state: { endedTurnIds: ['t_1'] } }])
    await client.end()
  })
})

test('a database that a newer version has used is refused and left alone', async () => {
  await onNewDatabase('newer', async (databaseUrl) => {
    const options = { connection: { databaseUrl }, logger: createSilentLogger() }
    await (await openStore(options)).close()
    const client = new pg.Client(clientConfig(options.connection))
    await client.connect()
    await client.query("insert into errand_migrations values ('9999-future', '2040')")
    const opened = openStore(options)
    await expect(opened).rejects.toMatchObject({ code: 'unsupported', reason: 'schema_newer' })
    const { rows } = await client.query('select name from errand_migrations order by name')
    expect(rows.at(-1)).toEqual({ name: '9999-future' })
    await client.end()
  })
})

test('a database that is not there is said so', async () => {
  const connection = { host: '/nonexistent', user: 'errand', database: 'errand' }
  const opened = openStore({ connection, logger: createSilentLogger() })
  await expect(opened).rejects.toMatchObject({
    code: 'unavailable',
    reason: 'database_unreachable',
  })
})

test('an owner gets one default environment, however many ask at once', async () => {
  const asked = await Promise.all([1, 2, 3, 4].map(() => store.environments.ensureDefault('new')))
  expect(new Set(asked.map((environment) => environment.id)).size).toBe(1)
  expect(asked[0]).toMatchObject({ name: 'Default', network: { level: 'trusted' } })
})

test('a default is per repository, per owner, or the oldest; one that is archived is not set', async () => {
  const { environments } = store
  const first = await environments.ensureDefault('dan')
  const second = await environments.create('dan', fields('second'))
  const third = await environments.create('dan', fields('third'))
  const cart = 'https://forge.example/cart'
  const chosen = async (repository?: string) =>
    (await environments.ensureDefault('dan', repository)).id
  expect(await chosen(cart)).toBe(first.id)
  await environments.setDefault('dan', { repository: null, environment: second.id })
  await environments.setDefault('dan', { repository: cart, environment: third.id })
  expect([await chosen(), await chosen(cart), await chosen(`${cart}2`)]).toEqual(
    [second, third, second].map(({ id }) => id),
  )
  expect(await environments.defaults('dan')).toEqual({
    environment: second.id,
    repositories: [{ repository: cart, environment: third.id }],
  })
  await environments.archive('dan', third.id)
  expect(await chosen(cart)).toBe(second.id)
  await environments.setDefault('dan', { repository: null, environment: null })
  expect(await environments.defaults('dan')).toEqual({ environment: first.id, repositories: [] })
  const others = environments.setDefault('eve', { repository: null, environment: second.id })
  await expect(others).rejects.toMatchObject({ reason: 'environment_not_found' })
  const archived = environments.setDefault('dan', { repository: null, environment: third.id })
  await expect(archived).rejects.toMatchObject({ reason: 'environment_not_found' })
})

test('environments belong to their owner and have names of their own', async () => {
  const made = await store.environments.create('ann', fields('web'))
  const other = await store.environments.create('ann', fields('other'))
  await store.environments.create('bob', fields('web'))
  const taken = { reason: 'environment_name_taken' }
  await expect(store.environments.create('ann', fields('web'))).rejects.toMatchObject(taken)
  const update = store.environments.update('ann', other.id, () => fields('web'))
  await expect(update).rejects.toMatchObject(taken)
  expect(await store.environments.get('bob', made.id)).toBeUndefined()
  const stolen = store.environments.update('bob', made.id, () => fields('mine'))
  await expect(stolen).rejects.toMatchObject({ reason: 'environment_not_found' })
  expect(await store.environments.find('ann', 'web')).toEqual(made)
  expect(await store.environments.find('ann', made.id)).toEqual(made)
  const variables = { A: '1' }
  const changed = await store.environments.update('ann', made.id, () => ({
    ...fields('api'),
    variables,
  }))
  expect(changed).toMatchObject({ id: made.id, name: 'api', variables })
})

test('an environment that cannot be read is in no list and replaced by no other, and can be archived', async () => {
  const made = await store.environments.create('uma', fields('strict'))
  const other = await store.environments.create('uma', fields('other'))
  await store.pool.query(`update environments set fields = '{"network":9}' where id = $1`, [
    made.id,
  ])
  expect(await store.environments.list('uma')).toEqual([other])
  const unreadable = {
    ...{ code: 'unsupported', reason: 'environment_unreadable' },
    message: expect.stringContaining(`errand environment archive ${made.id}`),
  }
  // The oldest one is the default, and might reach less than the other.
  await expect(store.environments.ensureDefault('uma')).rejects.toMatchObject(unreadable)
  await expect(store.environments.find('uma', 'strict')).rejects.toMatchObject(unreadable)
  const update = store.environments.update('uma', made.id, () => fields('strict'))
  await expect(update).rejects.toMatchObject(unreadable)
  const archived = await store.environments.archive('uma', made.id)
  expect(archived).toMatchObject({ id: made.id, name: 'strict', archivedAt: expect.any(String) })
  expect(await store.environments.ensureDefault('uma')).toEqual(other)
})

test('archiving an environment frees its name and keeps it readable', async () => {
  const made = await store.environments.create('cat', fields('web'))
  expect((await store.environments.archive('cat', made.id)).archivedAt).not.toBeNull()
  const next = await store.environments.create('cat', fields('web'))
  expect((await store.environments.list('cat')).map(({ id }) => id)).toEqual([next.id])
  const all = await store.environments.list('cat', { includeArchived: true })
  expect(all.map(({ id }) => id)).toEqual([made.id, next.id])
  expect(await store.environments.get('cat', made.id)).toMatchObject({ name: 'web' })
})

const token = (ownerId: string, host = 'git.example') =>
  ({ ownerId, host, kind: 'https', username: 'u', secret: `tok-${ownerId}-s3cret` }) as const

test('a secret comes out for its owner and lies nowhere in clear', async () => {
  const made = await store.credentials.create(token('ann', 'Git.Example'))
  expect(made).toMatchObject({ host: 'git.example', lastUsedAt: null })
  expect(await store.credentials.openSecret('ann', made.id)).toBe('tok-ann-s3cret')
  expect((await store.credentials.get('ann', made.id))?.lastUsedAt).not.toBeNull()
  expect(JSON.stringify(await store.credentials.list('ann'))).not.toContain('s3cret')
  const stolen = store.credentials.openSecret('bob', made.id)
  await expect(stolen).rejects.toMatchObject({ reason: 'credential_not_found' })
  const { rows } = await store.pool.query(
    "select t::text, encode(secret, 'escape') from credentials t",
  )
  const dump = JSON.stringify(rows)
  expect(dump).toContain(made.id)
  expect(dump).not.toContain('s3cret')
  expect(dump).not.toContain(Buffer.from('s3cret').toString('hex'))
})

test('credentials are all listed, also one whose binding cannot be read, which is opened by nobody', async () => {
  const binding = bindingSchema.parse({ header: 'x-key' })
  const made = await store.credentials.create({ ...token('fay'), kind: 'header', binding })
  const write = `update credentials set binding = '{"paths":9}' where id = $1`
  await store.pool.query(write, [made.id])
  expect(await store.credentials.list('fay')).toEqual([{ ...made, binding: null }])
  const unreadable: string[] = []
  expect(await store.credentials.openAll('fay', (id) => unreadable.push(id))).toEqual([])
  expect(unreadable).toEqual([made.id])
  expect(await store.credentials.remove('fay', made.id)).toBe(true)
})

test('a row that somebody rearranged in the database does not open', async () => {
  const mine = await store.credentials.create(token('dan'))
  await store.pool.query("update credentials set host = 'evil.example' where id = $1", [mine.id])
  const moved = store.credentials.openSecret('dan', mine.id)
  await expect(moved).rejects.toMatchObject({ reason: 'secret_unreadable' })
  const other = await store.credentials.create(token('eve'))
  await store.pool.query(
    'update credentials set secret = (select secret from credentials where id = $1) where id = $2',
    [mine.id, other.id],
  )
  const copied = store.credentials.openSecret('eve', other.id)
  await expect(copied).rejects.toMatchObject({ reason: 'secret_unreadable' })
})

const fail = (id: string) => expect.unreachable(id)

test('a credential for an API is bound to its hosts and paths by its seal', async () => {
  const binding = bindingSchema.parse({ paths: ['/v1/'], variable: 'API_TOKEN' })
  const fields = { host: 'api.example', kind: 'bearer' as const, username: '', binding }
  const made = await store.credentials.create({ ...fields, ownerId: 'ida', secret: 'k-ida-s3cret' })
  expect((await store.credentials.list('ida'))[0]).toEqual(made)
  expect(made.binding).toEqual(binding)
  expect(await store.credentials.openAll('ida', fail)).toMatchObject([
    { id: made.id, secret: 'k-ida-s3cret' },
  ])
  expect(await store.credentials.openAll('hal', fail)).not.toContainEqual(
    expect.objectContaining({ id: made.id }),
  )
  await store.pool.query(
    `update credentials set binding = '{"otherHosts": ["evil.example"]}' where id = $1`,
    [made.id],
  )
  const unreadable: string[] = []
  expect(await store.credentials.openAll('ida', (id) => unreadable.push(id))).toEqual([])
  expect(unreadable).toEqual([made.id])
})

test('the latest credential for a host is found, and removed by its owner only', async () => {
  await store.credentials.create(token('fay'))
  const latest = await store.credentials.create(token('fay'))
  expect(await store.credentials.find('fay', { host: 'GIT.example', kind: 'https' })).toEqual(
    latest,
  )
  expect(await store.credentials.find('fay', { host: 'git.example', kind: 'ssh' })).toBeUndefined()
  expect(
    await store.credentials.find('gus', { host: 'git.example', kind: 'https' }),
  ).toBeUndefined()
  expect(await store.credentials.remove('gus', latest.id)).toBe(false)
  expect(await store.credentials.remove('fay', latest.id)).toBe(true)
})

test('a program without the key, or with another, opens nothing', async () => {
  const made = await store.credentials.create(token('hal'))
  const { connection } = database
  const keyless = await openStore({ connection, logger: createSilentLogger() })
  const missing = keyless.credentials.openSecret('hal', made.id)
  await expect(missing).rejects.toMatchObject({ reason: 'sealing_key_missing' })
  await keyless.close()
  const other = await database.openStore({ sealingKey: randomBytes(32) })
  const wrong = other.credentials.openSecret('hal', made.id)
  await expect(wrong).rejects.toMatchObject({ reason: 'sealing_key_other' })
})

test('settings keep values; the first one who sets once wins', async () => {
  const numbers = z.array(z.number())
  expect(await store.settings.get('n', numbers)).toBeUndefined()
  await store.settings.set('n', [1])
  await store.settings.set('n', [2, 3])
  expect(await store.settings.get('n', numbers)).toEqual([2, 3])
  expect(await store.settings.get('n', z.string())).toBeUndefined()
  const all = await Promise.all(['a', 'b', 'c'].map((value) => store.settings.setOnce('o', value)))
  expect(new Set(all).size).toBe(1)
  await store.settings.remove('n')
  expect(await store.settings.get('n', numbers)).toBeUndefined()
})

test('uploads belong to their owner and are found when they are old', async () => {
  const made = await store.uploads.create('ann', {
    id: createId('upload', new Uint8Array(20)),
    name: 'repo',
  })
  expect(await store.uploads.get('ann', made.id)).toEqual(made)
  expect(await store.uploads.get('bob', made.id)).toBeUndefined()
  expect(await store.uploads.listCreatedBefore(new Date(nowMs + 1), 5)).toEqual([made])
  expect(await store.uploads.remove(made.id)).toBe(true)
})

test('text that PostgreSQL cannot hold is refused as input', async () => {
  const named = store.environments.create('ann', fields('a\u0000b'))
  await expect(named).rejects.toMatchObject({ code: 'invalid', reason: 'text_not_storable' })
})

test('a credential of one session is neither listed nor found by host, and goes with it', async () => {
  const own = {
    ownerId: 'ann',
    host: 'git.own',
    kind: 'https' as const,
    username: 'ann',
    secret: 's',
  }
  const { id } = await store.credentials.create({ ...own, isShared: false })
  expect(await store.credentials.find('ann', { host: 'git.own', kind: 'https' })).toBeUndefined()
  const ofSession = { host: 'git.own', kind: 'https' as const, ownId: id }
  expect(await store.credentials.find('ann', ofSession)).toMatchObject({ id })
  expect(await store.credentials.find('bob', ofSession)).toBeUndefined()
  expect(await store.credentials.find('ann', { ...ofSession, host: 'other' })).toBeUndefined()
  expect((await store.credentials.list('ann')).map((credential) => credential.id)).not.toContain(id)
  expect(await store.credentials.openSecret('ann', id)).toBe('s')
  const shared = await store.credentials.create(own)
  expect(await store.credentials.find('ann', ofSession)).toMatchObject({ id })
  await store.credentials.removeUnshared('ann', shared.id)
  await store.credentials.removeUnshared('ann', id)
  expect(await store.credentials.get('ann', id)).toBeUndefined()
  expect(await store.credentials.get('ann', shared.id)).toBeDefined()
})
