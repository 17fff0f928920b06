// Layers of setup scripts, attacked by a hostile branch with each control and without it: git, database and sandboxes are the
// real ones. The guest of the suite runs the script, where the runner would.
import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { LAYER_CASES, MADE_FILE } from '../../src/attack/layer-cases.ts'
import { createScene, OWNER, type Scene } from '../../src/git/room.fixture.ts'
import { createSilentLogger } from '../../src/lib/logger.ts'
import { environmentSchema } from '../../src/protocol/environment.ts'
import { createId } from '../../src/protocol/ids.ts'
import { waitUntilUnmounted } from '../../src/sandbox/disks/disk-image.ts'
import { createLayers, type LayersDeps } from '../../src/sessions/layers/layers.ts'
import { isCheckout } from '../../src/store/layers.ts'
import { startTestDatabase, type TestDatabase } from '../../src/store/postgres/database.fixture.ts'
import { createNotifications, type Notifications } from '../../src/store/postgres/notifications.ts'
import type { Store } from '../../src/store/store.ts'
import { expectBroken, expectHeld } from './expect-case.ts'
import { HOOK_FILE, LAYER_SWITCHES, type LayerSwitch, LOCK_FILE } from './layer-switches.ts'
import {
  type AttackSandbox,
  type ChangePlan,
  openSandboxes,
  runOnce,
  type Sandboxes,
} from './sandboxes.ts'

const SETUP = `
made=${MADE_FILE}
mkdir -p "\${made%/*}" && echo 'as the script made it' > "$made"
# For everybody: the sessions that are given it have other user ids than the one that made it.
chmod 777 "\${made%/*}" && chmod 666 "$made"
if grep -q evil ${LOCK_FILE}; then echo evil > "$made"; fi
if [ -e ${HOOK_FILE} ]; then . ./${HOOK_FILE}; fi
`
const UNMOUNT_LIMIT_MS = 30_000
const logger = createSilentLogger()

let sandboxes: Sandboxes
let scene: Scene
let database: TestDatabase
let store: Store
let notifications: Notifications

beforeAll(async () => {
  sandboxes = await openSandboxes()
  scene = await createScene()
  database = await startTestDatabase()
  store = await database.openStore()
  notifications = await createNotifications({ connection: database.connection, logger })
  await scene.room.workbench.commit(scene.upstream.checkout, { [LOCK_FILE]: '{}\n' })
  await git('push', '--quiet', 'origin', 'main')
})
afterAll(async () => {
  await notifications.close()
  await database.stop()
  await scene.close()
  await sandboxes.close()
})

const git = (...args: string[]) => scene.room.workbench.git(scene.upstream.checkout, args)

type Parts = LayerSwitch['off']

/** As the server makes them, in sandboxes of the suite. */
function layersWith({ keyOf, alsoRead = [] }: Parts) {
  const made = new Map<string, AttackSandbox>()
  const { driver } = sandboxes
  const deps: LayersDeps = {
    store: store.layers,
    sandboxes: {
      identify: (image) => driver.identify(image),
      startLayer: async ({ sandboxId }) => {
        const sandbox = await sandboxes.start({ spec: { sessionId: sandboxId } })
        made.set(sandboxId, sandbox)
        await runSetup(sandbox)
      },
      keepLayer: async (sandboxId, layerId) => {
        await driver.stop(sandboxId, { graceMs: 1_000 })
        return (await driver.keepLayer(sandboxId, layerId)).bytes
      },
      hasLayer: async (layerId) =>
        (await driver.listLayers()).some((layer) => layer.layerId === layerId),
      remove: async (sandboxId) => made.get(sandboxId)?.remove(),
      list: async () =>
        [...made.keys()].map((sessionId) => ({ sessionId, running: true, message: '' })),
    },
    doors: { open: async () => undefined, close: async () => undefined },
    readInputs: async ({ paths, ...asked }) => {
      const request = { ...asked, paths: [...paths, ...alsoRead] }
      return (await scene.room.client.files(request)).files
    },
    onReport: notifications.onLayer,
    logger,
    ...(keyOf ? { keyOf } : {}),
  }
  return createLayers(deps)
}

async function runSetup(sandbox: AttackSandbox): Promise<void> {
  const { sessionId } = sandbox
  const layer = await store.layers.findBuilding(sessionId)
  if (!layer?.recipe || isCheckout(layer.recipe)) throw new Error('there is no script to run')
  const files = layer.recipe.files.map(({ path, data }) => `echo '${data}' | base64 -d > '${path}'`)
  await sandbox.run(['mkdir -p /var/lib/setup && cd /var/lib/setup', ...files, SETUP].join('\n'))
  await store.layers.report(sessionId, { n: 1, ended: { exitCode: 0 } })
}

/** The layers that a session gets which starts on a branch, in an environment with this id. */
async function layersOf(branch: string, { parts, id }: { parts: Parts; id: string }) {
  const session = await scene.prepare({ baseBranch: branch, branch: `errand/${branch}-session` })
  const environment = environmentSchema.parse({
    ...{ id, name: 'mine', setup: SETUP, setupInputs: [LOCK_FILE] },
  })
  return layersWith(parts).find({
    state: {
      ...{ id: session.sessionId, ownerId: OWNER },
      sandbox: { state: 'preparing', generation: 1, isolation: null, phases: [] } as never,
    },
    ...{ environment, reach: environment.image },
    commit: async () => session.commit,
    hold: { signal: new AbortController().signal, assertHeld: async () => undefined },
    onLine: () => undefined,
  })
}

it.each(LAYER_CASES)('$id: $title', async (attack) => {
  const leftOut = LAYER_SWITCHES[attack.id]
  if (!leftOut) throw new Error(`${attack.id} has no switch`)
  await git('checkout', '--quiet', '-B', attack.id, 'main')
  await scene.room.workbench.commit(scene.upstream.checkout, leftOut.branch)
  await git('push', '--quiet', 'origin', attack.id)
  const script = attack.script({} as never)
  const { before } = leftOut
  const play = async (parts: Parts, changePlan?: ChangePlan) => {
    const at = { parts, id: createId('environment', randomBytes(20)) }
    const layers = await layersOf(attack.id, at)
    if (before) {
      const hostile = sandboxes.start({ spec: { layers }, changePlan })
      expect(await runOnce(hostile, before.script)).toBe(before.printed)
      for (const id of layers) await waitUntilUnmounted(`/${id}/disk.img`, UNMOUNT_LIMIT_MS)
    }
    return runOnce(sandboxes.start({ spec: { layers: await layersOf('main', at) } }), script)
  }
  const ways = expectHeld(attack, await play(leftOut.both ?? {}))
  expectBroken(attack, await play(leftOut.off, before?.off), ways)
})
