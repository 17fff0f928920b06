// A session that is asked for twice, on a real PostgreSQL: what is outside of the database is no part of it.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { SessionsApi } from './http/deps.ts'
import { newSessionSchema } from './protocol/api.ts'
import { createDispatch, type Dispatch } from './sessions/dispatch.ts'
import { defaultRules } from './sessions/rules/decide.ts'
import type { Standbys } from './sessions/standbys.ts'
import { exampleId } from './sessions/starting/new-session.fixture.ts'
import { createSessionsApi } from './sessions-api.ts'
import { startTestDatabase, type TestDatabase } from './store/postgres/database.fixture.ts'
import type { Store } from './store/store.ts'

const ANN = { id: 'ann', name: 'Ann' }
const asked = (turnId?: string) =>
  newSessionSchema.parse({
    ...{ prompt: 'fix it', source: { kind: 'remote', url: 'https://git.example/r.git' } },
    turnId,
  })

let database: TestDatabase
let store: Store
let dispatch: Dispatch
let taken: string[]
let settled: string[]
let turns = 0

beforeAll(async () => {
  database = await startTestDatabase()
  store = await database.openStore()
  dispatch = createDispatch(store, defaultRules)
})
afterAll(() => database.stop())
beforeEach(() => {
  taken = []
  settled = []
})

const newTurn = () => exampleId('turn', ++turns)

function api(standbys: Partial<Standbys> = {}): SessionsApi {
  return createSessionsApi({
    ...{ store, dispatch, drivers: ['oci'], checkouts: { has: async () => false } },
    git: {} as Parameters<typeof createSessionsApi>[0]['git'],
    standbys: {
      take: async () => undefined,
      settle: async (id) => void settled.push(id),
      counts: async () => ({ ready: 0, wanted: 0 }),
      close: async () => undefined,
      ...standbys,
    },
    settings: { concurrency: 8, git: {} as never },
  })
}

describe('a session that is asked for', () => {
  it('begins with the turn that was chosen, or with one of its own', async () => {
    const turnId = newTurn()
    expect((await api().create(ANN, asked(turnId))).turn?.id).toBe(turnId)
    expect((await api().create(ANN, asked())).turn?.id).toMatch(/^t_/)
  })

  it('is the same when it is asked for again, also once it is in the archive', async () => {
    const turnId = newTurn()
    const first = await api().create(ANN, asked(turnId))
    await api().command(first.id, { type: 'session.archive' })
    const take = async () => {
      taken.push('one')
      return exampleId('session', 31)
    }
    const again = await api({ take }).create(ANN, asked(turnId))
    expect(again).toMatchObject({ id: first.id, status: 'archived', turn: null })
    expect(taken).toEqual([])
  })

  it('is one of its owner alone', async () => {
    const turnId = newTurn()
    const anns = await api().create(ANN, asked(turnId))
    const bobs = await api().create({ id: 'bob', name: 'Bob' }, asked(turnId))
    expect(bobs.id).not.toBe(anns.id)
    expect(bobs.ownerId).toBe('bob')
  })

  it('is one when it is asked for again before the first answer, and takes no waiting sandbox for both', async () => {
    const turnId = newTurn()
    const bothLook = Promise.withResolvers<void>()
    const take = async () => {
      taken.push(exampleId('session', 20 + taken.length))
      if (taken.length === 2) bothLook.resolve()
      await bothLook.promise
      return taken.pop()
    }
    const both = api({ take })
    const [one, other] = await Promise.all([
      both.create(ANN, asked(turnId)),
      both.create(ANN, asked(turnId)),
    ])
    expect(one.id).toBe(other.id)
    // The one that nobody uses is not settled: it is taken away.
    expect(settled).toEqual([one.id])
    const { sessions } = await store.sessions.list({ ownerId: ANN.id, limit: 50 })
    expect(sessions.filter((one) => 'turn' in one && one.turn?.id === turnId)).toHaveLength(1)
  })

  it('is found by that turn, by its owner alone', async () => {
    const found = async (ownerId: string, id: string) =>
      (await api().listBegun(ownerId, id)).sessions.map((session) => session.id)
    const turnId = newTurn()
    const made = await api().create(ANN, asked(turnId))
    expect(await found(ANN.id, turnId)).toEqual([made.id])
    expect(await found('somebody', turnId)).toEqual([])
    expect(await found(ANN.id, newTurn())).toEqual([])
  })
})

describe('the password of an address', () => {
  const withPassword = (fields: object) =>
    newSessionSchema.parse({
      ...{ prompt: 'fix it', source: { kind: 'remote', url: 'https://eve:secret@git.example/r' } },
      ...fields,
    })
  const EVE = { id: 'eve', name: 'Eve' }
  const kept = async () => {
    const query = 'select id from credentials where owner_id = $1'
    return (await store.pool.query<{ id: string }>(query, [EVE.id])).rows.map(({ id }) => id)
  }

  it('is kept for a session that is made, and for none that is refused or made already', async () => {
    const typo = withPassword({ environment: 'no such' })
    await expect(api().create(EVE, typo)).rejects.toMatchObject({ code: 'not_found' })
    const other = { source: { kind: 'remote', url: 'https://eve:other@git.example/s' } }
    const twice = withPassword({ additional: [other, other] })
    await expect(api().create(EVE, twice)).rejects.toMatchObject({ reason: 'repository_twice' })
    expect(await kept()).toEqual([])
    const turnId = newTurn()
    const bothPlanned = Promise.withResolvers<void>()
    let planned = 0
    const take = async () => {
      planned += 1
      if (planned === 2) bothPlanned.resolve()
      await bothPlanned.promise
      return undefined
    }
    const asking = [1, 2].map(() => api({ take }).create(EVE, withPassword({ turnId })))
    const [one, same] = await Promise.all(asking)
    expect(same?.id).toBe(one?.id)
    expect(await kept()).toEqual([
      one?.repository.source.kind === 'remote' && one.repository.source.credentialId,
    ])
  })

  it('goes with a session whose state cannot be read, as do its rows', async () => {
    const other = { source: { kind: 'remote', url: 'https://eve:other@git.example/s' } }
    const session = await api().create(EVE, withPassword({ additional: [other] }))
    const before = await kept()
    const { repository, additional } = session
    const later = JSON.stringify({ v: 9, repository, more: { additional } })
    await store.pool.query('update sessions set state = $1 where id = $2', [later, session.id])
    await api().remove(session.id)
    expect((await kept()).length).toBe(before.length - 2)
    expect(await store.sessions.has(session.id)).toBe(false)
    expect(await store.effects.countOpen('session.remove', session.id)).toBe(1)
  })
})
