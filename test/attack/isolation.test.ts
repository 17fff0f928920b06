// The boundary around a sandbox, attacked from inside with each control and without it.
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Targets } from '../../src/attack/attack-case.ts'
import { ISOLATION_CASES } from '../../src/attack/isolation-cases.ts'
import { type Canaries, placeCanaries } from './canaries.ts'
import { expectBroken, expectHeld } from './expect-case.ts'
import { ISOLATION_SWITCHES } from './isolation-switches.ts'
import { namedTargets, type StandIn, startStandIn } from './own-network.ts'
import {
  type AttackSandbox,
  type ChangeConfig,
  openSandboxes,
  runOnce,
  type Sandboxes,
} from './sandboxes.ts'

let sandboxes: Sandboxes
let canaries: Canaries
let standIn: StandIn
let shared: AttackSandbox
let targets: Targets

beforeAll(async () => {
  sandboxes = await openSandboxes()
  canaries = await placeCanaries(sandboxes)
  standIn = await startStandIn()
  shared = await sandboxes.start()
  targets = { ...canaries, ...namedTargets(standIn.port) }
})
afterAll(async () => {
  await shared.remove()
  await standIn.close()
  await canaries.remove()
  await sandboxes.close()
})

it.each(ISOLATION_CASES)('$id: $title', async (attack) => {
  const leftOut = ISOLATION_SWITCHES[attack.id]
  if (!leftOut) throw new Error(`${attack.id} has no switch`)
  const script = attack.script(targets)
  const both = leftOut.both?.(canaries)
  const on = both
    ? await runOnce(sandboxes.start({ change: both }), script)
    : await shared.run(script)
  const ways = expectHeld(attack, on)
  const off = leftOut.off(canaries)
  const change: ChangeConfig = (config, input) => off(both?.(config, input) ?? config, input)
  const without = sandboxes.start({ change, spec: leftOut.spec?.(canaries) ?? {} })
  expectBroken(attack, await runOnce(without, script), ways)
})

it('sent nothing anywhere else', () => {
  expect(standIn.requests).toEqual([])
})
