// What a gateway that is started again does with the doors of those before it.
import { expect, it } from 'vitest'
import { createSilentLogger } from '../lib/logger.ts'
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
    logger: createSilentLogger(),
  }
  await reopenDoors(deps)
  expect(removed).toEqual([left])
  expect(opened).toEqual([id, preparing])
})

it('opens the other doors beside one that cannot be opened, says which, and opens that one later, if it is still wanted', async () => {
  const [bad, good, left, gone] = [1, 2, 3, 4].map((number) => exampleId('session', number)) as [
    string,
    string,
    string,
    string,
  ]
  const opened: string[] = []
  const warned: string[] = []
  let wanted = [bad, gone, good]
  let isMended = false
  const logger = createSilentLogger()
  logger.warn = ({ sessionId }: { sessionId: string }) => void warned.push(sessionId)
  const reopening = await reopenDoors({
    store: {
      sessions: { listBySandboxState: async () => wanted.map((id) => ({ id })) as never[] },
      standbys: { list: async () => [] },
      layers: { list: async () => [] },
    },
    watch: { follow: async () => undefined },
    builds: { follow: async () => false },
    log: { load: async () => undefined },
    doors: {
      found: async () => [left],
      list: () => [],
      remove: () => Promise.reject(new Error('busy')),
      open: async (id) => {
        if (id === gone || (id === bad && !isMended)) throw new Error('damaged')
        return opened.push(id) as never
      },
    },
    logger,
    retry: { firstMs: 1, mostMs: 1 },
  })
  expect(opened).toEqual([good])
  expect(warned.slice(0, 3)).toEqual([left, bad, gone])
  wanted = [bad]
  isMended = true
  await expect.poll(() => opened).toEqual([good, bad])
  reopening.close()
})
