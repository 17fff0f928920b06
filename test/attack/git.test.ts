// The git door, attacked by the real git from inside a sandbox, with each control and without it. The repositories, the
// upstream and the door are those of the programs, in this process.
import { createHash } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Targets } from '../../src/attack/attack-case.ts'
import { GIT_CASES } from '../../src/attack/git-cases.ts'
import type { DoorRoute } from '../../src/door/call-route.ts'
import { parseGitRequest, proxyGit } from '../../src/git/client.ts'
import type { Git, GitStart } from '../../src/git/git-process.ts'
import { findLfsPlace } from '../../src/git/lfs/lfs-place.ts'
import { isNamedSo, isSizeAsked } from '../../src/git/lfs/lfs-store.ts'
import { createScene, OWNER, type Scene } from '../../src/git/room.fixture.ts'
import { refuseForSession, refuseOutward } from '../../src/git/serving/push-scope.ts'
import { readSmallBody } from '../../src/git/serving/request-body.ts'
import { AppError } from '../../src/protocol/errors.ts'
import { NO_GRANTS } from '../../src/protocol/session.ts'
import { type Canaries, placeCanaries } from './canaries.ts'
import { expectBroken, expectHeld } from './expect-case.ts'
import { openGateway } from './gateway.ts'
import { GIT_SWITCHES, type GitOff } from './git-switches.ts'
import { namedTargets, requireOwnNetwork } from './own-network.ts'
import { type AttackSandbox, openSandboxes, type Sandboxes } from './sandboxes.ts'

const MAX_PUSH_BYTES = 1 << 20

let sandboxes: Sandboxes
let canaries: Canaries
let sandbox: AttackSandbox
let scene: Scene
/** Has no outside: its large files are kept here. */
let keptSession: string
let targets: Targets
/** What is left out at the moment. */
let off: GitOff = {}

/** Git as gitd starts it, but for the settings that are left out. */
function withoutSettings(git: Git): Git {
  const change = <T extends GitStart>(call: T): T => ({
    ...call,
    memoryBytes: (call.memoryBytes ? off.listingBytes : off.memoryBytes) ?? call.memoryBytes,
    settings: (call.settings ?? []).filter(([key]) => !off.settings?.test(key)),
  })
  return {
    start: (call, stdio) => git.start(change(call), stdio),
    run: (call) => git.run(change(call)),
    text: (call) => git.text(change(call)),
  }
}

beforeAll(async () => {
  requireOwnNetwork()
  sandboxes = await openSandboxes()
  canaries = await placeCanaries(sandboxes)
  sandbox = await sandboxes.start()
  scene = await createScene({
    maxPushBytes: MAX_PUSH_BYTES,
    rules: {
      git: withoutSettings,
      refuseForSession: (updates, scope) =>
        off.refuse?.(updates.length) ?? refuseForSession(updates, scope),
      refuseOutward: (update, scope) => (off.goesOut ? undefined : refuseOutward(update, scope)),
      readSmallBody: (incoming, mostBytes) => readSmallBody(incoming, off.unpacks ?? mostBytes),
      findLfsPlace: (paths, request, headers) =>
        findLfsPlace(paths, off.otherFiles ? { ...request, id: otherKept } : request, headers),
      isContentOf: (oid, sha256) => off.anyContent === true || isNamedSo(oid, sha256),
      isSizeOf: (said, asked) => off.anySize === true || isSizeAsked(said, asked),
    },
  })
  await scene.prepare({ sessionId: sandbox.sessionId })
  const other = await scene.prepare()
  keptSession = await prepareKept()
  const otherKept = await prepareKept()
  const otherFile = await addLargeFile(otherKept)
  targets = { ...canaries, ...namedTargets(1), otherFile, otherSession: other.sessionId }
})
afterAll(async () => {
  await scene.close()
  await sandbox.remove()
  await canaries.remove()
  await sandboxes.close()
})

/** A session on a repository that was uploaded. */
async function prepareKept(): Promise<string> {
  const { room, upstream } = scene
  const { uploadId } = await room.client.createUpload(OWNER)
  const to = [room.door(uploadId), 'HEAD:refs/heads/main']
  await room.workbench.git(upstream.checkout, ['push', '--quiet', ...to])
  return (await scene.prepare({ source: { kind: 'upload', uploadId } })).sessionId
}

async function addLargeFile(sessionId: string) {
  const content = 'a large file of another session'
  const file = { oid: createHash('sha256').update(content).digest('hex'), size: content.length }
  const files = `${scene.room.door(sessionId)}/info/lfs/objects`
  const asked = { operation: 'upload', transfers: ['basic'], objects: [file] }
  await fetch(`${files}/batch`, { method: 'POST', body: JSON.stringify(asked) })
  const sent = await fetch(`${files}/${file.oid}`, { method: 'PUT', body: content })
  expect(sent.status).toBe(200)
  return file
}

const route: DoorRoute = async ({ sessionId, request, response, path }) => {
  const asked = parseGitRequest(request.method ?? 'GET', path)
  const named = off.fromPath ? /s_[a-z0-9]{20}/.exec(path)?.[0] : undefined
  const isOwn = /^\/git\/repository\.git\/(info\/lfs\/.*|[^/]*(\/refs)?)(\?|$)/.test(path)
  if (!asked || !(isOwn || named))
    throw new AppError('not_found', 'repository_not_found', 'There is no such repository.')
  const target = {
    kind: 'session' as const,
    id: named ?? ('lfs' in asked ? keptSession : sessionId),
    push: off.grants ?? NO_GRANTS,
    base: 'http://errand.internal/git/repository.git',
    ...asked,
  }
  await proxyGit(request, response, { socketPath: scene.room.socketPath, target })
}

/** What the session changed, as people ask for it. */
const diffRoute: DoorRoute = async ({ sessionId, response }) => {
  const { truncated } = await scene.room.client.diff({ sessionId })
  response.end(`changes, ${truncated ? 'cut' : 'whole'}`)
}

async function runWithout(leftOut: GitOff, script: string): Promise<string> {
  off = leftOut
  const { doorsDir } = sandboxes
  const place = { doorsDir, sessionId: sandbox.sessionId, port: 1, secret: '' }
  const gateway = await openGateway(
    { ...place, modelUrl: 'http://127.0.0.1:1' },
    { git: route, reach: diffRoute },
  )
  try {
    return await sandbox.run(script)
  } finally {
    await gateway.close()
    off = {}
  }
}

it.each(GIT_CASES)('$id: $title', async (attack) => {
  const leftOut = GIT_SWITCHES[attack.id]
  if (!leftOut) throw new Error(`${attack.id} has no switch`)
  const script = attack.script(targets)
  const ways = expectHeld(attack, await runWithout(leftOut.both ?? {}, script))
  expectBroken(attack, await runWithout(leftOut.off, script), ways)
})
