// Every operation of the server's API, called from inside a sandbox by everybody who must not: with each check and without it.
// Its socket lies beside that of the door; accounts, environments and credentials are on a real database.
import { join } from 'node:path'
import { afterAll, beforeAll, it } from 'vitest'
import { API_CASES } from '../../src/attack/api-cases.ts'
import type { AttackCase } from '../../src/attack/attack-case.ts'
import type { TestApp } from '../../src/http/app.fixture.ts'
import {
  type EveryRoute,
  openEveryRoute,
  type People,
  preparePeople,
} from '../../src/http/every-route.fixture.ts'
import { startTestDatabase, type TestDatabase } from '../../src/store/postgres/database.fixture.ts'
import { apiTargets, serveApi } from './api.ts'
import { API_SWITCHES } from './api-switches.ts'
import { type Canaries, placeCanaries } from './canaries.ts'
import { expectBroken, expectHeld } from './expect-case.ts'
import { namedTargets } from './own-network.ts'
import { type AttackSandbox, openSandboxes, type Sandboxes } from './sandboxes.ts'

let sandboxes: Sandboxes
let canaries: Canaries
let sandbox: AttackSandbox
let database: TestDatabase
let routes: EveryRoute
let people: People
let again: People

beforeAll(async () => {
  sandboxes = await openSandboxes()
  canaries = await placeCanaries(sandboxes)
  sandbox = await sandboxes.start()
  database = await startTestDatabase()
  routes = await openEveryRoute(database)
})
afterAll(async () => {
  await database.stop()
  await sandbox.remove()
  await canaries.remove()
  await sandboxes.close()
})

async function playAt(app: TestApp['app'], { script }: AttackCase): Promise<string> {
  const api = apiTargets(routes, people, again)
  const served = await serveApi(join(sandboxes.doorsDir, sandbox.sessionId), app)
  try {
    return await sandbox.run(script({ ...canaries, ...namedTargets(1), api }))
  } finally {
    await served.close()
  }
}

it.each(API_CASES)('$id: $title', async (attack) => {
  const without = API_SWITCHES[attack.id]
  if (!without) throw new Error(`${attack.id} has no switch`)
  // What a check held back may take things away when it is left out.
  const n = 2 * API_CASES.indexOf(attack)
  people = await preparePeople(routes.test, n)
  again = await preparePeople(routes.test, n + 1)
  const ways = expectHeld(attack, await playAt(routes.test.app, attack))
  expectBroken(attack, await playAt(without(routes.test, people), attack), ways)
})
