import { expect, it } from 'vitest'
import { createSilentLogger } from '../lib/logger.ts'
import type { Command } from '../protocol/command.ts'
import type { SessionState } from '../protocol/session.ts'
import type { SessionDirectory } from '../store/sessions.ts'
import { type ClockDeps, reconcile } from './clock.ts'
import type { Dispatch } from './dispatch.ts'
import type { SandboxPort } from './effects.ts'

const ID = `s_${'a'.repeat(20)}`

/** A session whose sandbox of that generation was started, and nothing that runs. */
function setUp() {
  let generation = 1
  const told: Command[] = []
  const phases = [{ name: 'sandbox', state: 'completed' }]
  const session = () => ({ id: ID, sandbox: { state: 'ready', generation, phases } })
  const deps: ClockDeps = {
    directory: {
      listBySandboxState: async () => [session() as unknown as SessionState],
      get: async () => session() as unknown as SessionState,
    } as unknown as SessionDirectory,
    dispatch: {
      command: async (_id: string, command: Command) => {
        told.push(command)
      },
    } as unknown as Dispatch,
    sandboxes: { list: async () => [] } as unknown as SandboxPort,
    standbys: { has: async () => false },
    layers: { findBuilding: async () => undefined },
    logger: createSilentLogger(),
  }
  return {
    ...{ deps, told, missing: new Map<string, number>() },
    prepareAgain: () => {
      generation += 1
    },
  }
}

it('takes no sandbox for lost because an earlier one of the session was missed', async () => {
  const { deps, told, missing, prepareAgain } = setUp()
  await reconcile(deps, missing)
  prepareAgain()
  await reconcile(deps, missing)
  expect(told).toEqual([])
  await reconcile(deps, missing)
  expect(told).toMatchObject([{ type: 'sandbox.lost', generation: 2 }])
})
