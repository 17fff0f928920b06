// The gateway, attacked from inside a sandbox with each control and without it: what may be reached, what may be asked of the
// model, and the door itself.
import { afterAll, beforeAll, describe, it } from 'vitest'
import type { AttackCase, Targets } from '../../src/attack/attack-case.ts'
import { DOOR_CASES } from '../../src/attack/door-cases.ts'
import { MODEL_CASES } from '../../src/attack/model-cases.ts'
import { NETWORK_CASES } from '../../src/attack/network-cases.ts'
import { type Canaries, placeCanaries } from './canaries.ts'
import { expectBroken, expectHeld } from './expect-case.ts'
import { type GatewayParts, type ModelStandIn, openGateway, startModelStandIn } from './gateway.ts'
import {
  DOOR_SWITCHES,
  type GatewaySwitch,
  MODEL_SWITCHES,
  NETWORK_SWITCHES,
} from './gateway-switches.ts'
import { namedTargets, type StandIn, startStandIn } from './own-network.ts'
import { type AttackSandbox, openSandboxes, type Sandboxes } from './sandboxes.ts'

let sandboxes: Sandboxes
let canaries: Canaries
let standIn: StandIn
let model: ModelStandIn
let sandbox: AttackSandbox
let targets: Targets

beforeAll(async () => {
  sandboxes = await openSandboxes()
  canaries = await placeCanaries(sandboxes)
  standIn = await startStandIn()
  model = await startModelStandIn()
  sandbox = await sandboxes.start()
  targets = { ...canaries, ...namedTargets(standIn.port) }
})
afterAll(async () => {
  await sandbox.remove()
  model.close()
  await standIn.close()
  await canaries.remove()
  await sandboxes.close()
})

async function runAt(script: string, parts: GatewayParts): Promise<string> {
  const { sessionId } = sandbox
  const { doorsDir } = sandboxes
  const place = { doorsDir, sessionId, secret: canaries.secret }
  const gateway = await openGateway({ ...place, port: standIn.port, modelUrl: model.url }, parts)
  standIn.onRequest = (path) => {
    if (path === '/edit') gateway.closeNetwork()
  }
  try {
    return await sandbox.run(script)
  } finally {
    standIn.onRequest = () => undefined
    await gateway.close()
  }
}

async function play(attack: AttackCase, leftOut: GatewaySwitch | undefined): Promise<void> {
  if (!leftOut) throw new Error(`${attack.id} has no switch`)
  const script = attack.script(targets)
  const { both = {}, on = {}, off } = leftOut
  const ways = expectHeld(attack, await runAt(script, { ...both, ...on }))
  const without = typeof off === 'function' ? off(sandbox) : off
  expectBroken(attack, await runAt(script, { ...both, ...without }), ways)
}

describe('network', () => {
  it.each(NETWORK_CASES)('$id: $title', (attack) => play(attack, NETWORK_SWITCHES[attack.id]))
})
describe('model', () => {
  it.each(MODEL_CASES)('$id: $title', (attack) => play(attack, MODEL_SWITCHES[attack.id]))
})
describe('door', () => {
  it.each(DOOR_CASES)('$id: $title', (attack) => play(attack, DOOR_SWITCHES[attack.id]))
})
