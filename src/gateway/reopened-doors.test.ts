// What a gateway that is started again does with the doors of those before it.
import { expect, it } from 'vitest'
import { exampleId } from '../sessions/starting/new-session.fixture.ts'
import { type ReopenedDoorsDeps, reopenDoors } from './reopened-doors.ts'

it('keeps the door of a sandbox that waits and becomes a session just then, and takes away what is left of others', async () => {
  const [id, preparing, left] = [1, 2, 3].map((number) => exampleId('session', number)) as [
    string,
    string,
    string,
  ]
  const opened: string[] = []
  const removed: string[] = []
  let isSession = false
  /** Whoever reads next finds the session, and nothing that waits. */
  const then = async <T>(found: T[]) => {
    isSession = true
    return found as never[]
  }
  const deps: ReopenedDoorsDeps = {
    store: {
      sessions: {
        listBySandboxState: (states) =>
          then([
            ...(isSession ? [{ id }] : []),
            ...(states.includes('preparing') ? [{ id: preparing }] : []),
          ]),
      },
      standbys: { list: () => then(isSession ? [] : [{ sessionId: id }]) },
      layers: { list: async () => [] },
    },
    watch: { follow: async () => undefined },
    builds: { follow: async () => false },
    log: { load: async () => undefined },
    doors: {
      found: async () => [id, preparing, left],
      list: () => [],
      remove: async (door) => void removed.push(door),
      open: async (door) => opened.push(door) as never,
    },
  }
  await reopenDoors(deps)
  expect(removed).toEqual([left])
  expect(opened).toEqual([id, preparing])
})
