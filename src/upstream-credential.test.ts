// Which credential git gets for a session, on a real database.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { exampleSession } from './sessions/starting/new-session.fixture.ts'
import { startTestDatabase, type TestDatabase } from './store/postgres/database.fixture.ts'
import type { Store } from './store/store.ts'
import { findUpstreamCredential } from './upstream-credential.ts'

const { repository } = exampleSession(1)

let database: TestDatabase
let store: Store
let nowMs = Date.parse('2030-01-01T00:00:00Z')
beforeAll(async () => {
  database = await startTestDatabase()
  const clock = () => {
    nowMs += 1_000
    return new Date(nowMs)
  }
  store = await database.openStore({ clock })
})
afterAll(() => database.stop())
beforeEach(() => store.pool.query('delete from credentials'))

function add(secret: string, more: { isShared?: boolean; host?: string } = {}) {
  const place = { ownerId: 'ann', host: 'git.example', kind: 'https' as const, username: 'ann' }
  return store.credentials.create({ ...place, secret, ...more })
}

async function secretFor(credentialId: string | null, ownerId = 'ann') {
  const source = { kind: 'remote' as const, url: 'https://git.example/r.git', credentialId }
  const found = { ...repository, source }
  return (await findUpstreamCredential(store.credentials, ownerId, found))?.secret
}

describe('the credential for the upstream of a session', () => {
  it('is one that was added after the session was made', async () => {
    expect(await secretFor(null)).toBeUndefined()
    await add('of another host', { host: 'git.other' })
    expect(await secretFor(null)).toBeUndefined()
    await add('added')
    expect(await secretFor(null)).toBe('added')
    expect(await secretFor(null, 'bob')).toBeUndefined()
  })

  it('is the one that has taken the place of what the session was made with', async () => {
    const first = await add('first')
    expect(await secretFor(first.id)).toBe('first')
    await add('second')
    expect(await secretFor(first.id)).toBe('second')
    await store.credentials.remove('ann', first.id)
    expect(await secretFor(first.id)).toBe('second')
  })

  it('is its own where it stood in the address, and nobody else uses that', async () => {
    const own = await add('own', { isShared: false })
    await add('of all')
    expect(await secretFor(own.id)).toBe('own')
    expect(await secretFor(null)).toBe('of all')
  })

  it('is none for what is no address outside', async () => {
    await add('added')
    const source = { kind: 'upload' as const, uploadId: 'u', name: 'r', origin: null }
    const upload = { ...repository, source }
    expect(await findUpstreamCredential(store.credentials, 'ann', upload)).toBeUndefined()
  })
})
