// Whoever reads a session, attacked by a program inside it that reports and commits what acts on readers: with each control and
// without it. Rules, git, command line, page and browser are the real ones.
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Targets } from '../../src/attack/attack-case.ts'
import { SHOWN_CASES } from '../../src/attack/shown-cases.ts'
import type { DoorRoute } from '../../src/door/call-route.ts'
import { parseGitRequest, proxyGit } from '../../src/git/client.ts'
import { createScene, OWNER, type Scene } from '../../src/git/room.fixture.ts'
import { readDiff } from '../../src/ports.ts'
import { AppError } from '../../src/protocol/errors.ts'
import { NO_GRANTS } from '../../src/protocol/session.ts'
import { startTestDatabase, type TestDatabase } from '../../src/store/postgres/database.fixture.ts'
import { type Canaries, placeCanaries } from './canaries.ts'
import { expectBroken, expectHeld } from './expect-case.ts'
import { openGateway } from './gateway.ts'
import { namedTargets, type StandIn, startStandIn } from './own-network.ts'
import { openPageReader, type PageReader } from './page-reader.ts'
import { type AttackSandbox, openSandboxes, type Sandboxes } from './sandboxes.ts'
import { SHOWN_SWITCHES } from './shown-switches.ts'
import type { Session } from './terminal-reader.ts'

let sandboxes: Sandboxes
let canaries: Canaries
let sandbox: AttackSandbox
let scene: Scene
let standIn: StandIn
let database: TestDatabase
let page: PageReader
let targets: Targets

beforeAll(async () => {
  sandboxes = await openSandboxes()
  canaries = await placeCanaries(sandboxes)
  standIn = await startStandIn()
  database = await startTestDatabase()
  scene = await createScene()
  page = await openPageReader({ database, standIn, gitSocket: scene.room.socketPath })
  sandbox = await sandboxes.start()
  await prepareUpload(sandbox.sessionId)
  targets = { ...canaries, ...namedTargets(standIn.port) }
})
afterAll(async () => {
  await page.close()
  await scene.close()
  await database.stop()
  await sandbox.remove()
  await standIn.close()
  await canaries.remove()
  await sandboxes.close()
})

/** On a repository that was uploaded: its large files are kept here. */
async function prepareUpload(sessionId: string): Promise<void> {
  const { room, upstream } = scene
  const { uploadId } = await room.client.createUpload(OWNER)
  const to = [room.door(uploadId), 'HEAD:refs/heads/main']
  await room.workbench.git(upstream.checkout, ['push', '--quiet', ...to])
  await scene.prepare({ sessionId, source: { kind: 'upload', uploadId } })
}

const git: DoorRoute = async ({ sessionId: id, request, response, path }) => {
  const asked = parseGitRequest(request.method ?? 'GET', path)
  if (!asked)
    throw new AppError('not_found', 'repository_not_found', 'There is no such repository.')
  const base = 'http://errand.internal/git/repository.git'
  const target = { kind: 'session' as const, id, push: NO_GRANTS, base, ...asked }
  await proxyGit(request, response, { socketPath: scene.room.socketPath, target })
}

/** What is there to read when the script has run, and what it printed. */
async function tell(script: string): Promise<{ said: string; session: Session }> {
  const { doorsDir } = sandboxes
  const { sessionId } = sandbox
  const place = { doorsDir, sessionId, port: standIn.port, secret: canaries.secret }
  const gateway = await openGateway({ ...place, modelUrl: 'http://127.0.0.1:1' }, { git })
  try {
    const said = await sandbox.run(script)
    const diff = await readDiff(scene.room.client, { sessionId })
    return { said, session: { events: gateway.events, diff } }
  } finally {
    await gateway.close()
  }
}

it.each(SHOWN_CASES)('$id: $title', async (attack) => {
  const reader = SHOWN_SWITCHES[attack.id]
  if (!reader) throw new Error(`${attack.id} has no switch`)
  const { said, session } = await tell(attack.script(targets))
  expect(said).toBe('')
  const ways = expectHeld(attack, await reader.on(session, page))
  expectBroken(attack, await reader.off(session, page), ways)
})
