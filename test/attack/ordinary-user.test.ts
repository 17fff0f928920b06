// The boundary around a sandbox once more, where an ordinary user of the machine has made it: with each control and without it.
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Targets } from '../../src/attack/attack-case.ts'
import { ISOLATION_CASES } from '../../src/attack/isolation-cases.ts'
import { type Canaries, placeCanaries } from './canaries.ts'
import { expectBroken, expectHeld } from './expect-case.ts'
import { ISOLATION_SWITCHES } from './isolation-switches.ts'
import { type OrdinarySandboxes, openOrdinarySandboxes } from './ordinary-user.ts'
import { namedTargets, type StandIn, startStandIn } from './own-network.ts'
import { type AttackSandbox, runOnce } from './sandboxes.ts'

/** Cases that say nothing here, and why. */
const ELSEWHERE: Record<string, string> = {
  'host-root-file': 'who makes the sandbox is not root of the host either',
  'other-session-process': 'a user may map no ids but its own',
  devices: 'it takes root of the host',
  'fork-bomb': 'control groups may not be delegated: rootless.conformance.ts',
  'memory-bomb': 'control groups may not be delegated: rootless.conformance.ts',
  'disk-filling': 'it is looked at every few seconds: rootless.conformance.ts',
}
const CASES = ISOLATION_CASES.filter(({ id }) => ELSEWHERE[id] === undefined)

let sandboxes: OrdinarySandboxes
let canaries: Canaries
let standIn: StandIn
let shared: AttackSandbox
let targets: Targets

beforeAll(async () => {
  sandboxes = await openOrdinarySandboxes()
  canaries = await placeCanaries(sandboxes)
  await sandboxes.show(canaries)
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

it('is made without root', async () => {
  expect((await sandboxes.driver.isolation()).line).toContain('rootless')
})

it.each(CASES)('$id: $title', async (attack) => {
  const script = attack.script(targets)
  const { both, spec } = ISOLATION_SWITCHES[attack.id] ?? {}
  const on = both
    ? await runOnce(sandboxes.start({ spec: { hostname: `with-${attack.id}` } }), script)
    : await shared.run(script)
  const ways = expectHeld(attack, on)
  const changed = { ...spec?.(canaries), hostname: `without-${attack.id}` }
  expectBroken(attack, await runOnce(sandboxes.start({ spec: changed }), script), ways)
})

it('sent nothing anywhere else', () => {
  expect(standIn.requests).toEqual([])
})
