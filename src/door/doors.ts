// All doors of this gateway: opened and closed by session id. A folder per session below `doorsDir`, which is what is mounted
// into the sandbox; the folder outlives its listener, so that a restarted gateway is found again.
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Logger } from '../lib/logger.ts'
import { AppError } from '../protocol/errors.ts'
import { idPattern } from '../protocol/ids.ts'
import { createDoor, type Door, type DoorLimits, type DoorRoutes } from './listener.ts'
import { createRunnerChannel, type RunnerChannel, type RunnerEvents } from './runner-channel.ts'

export interface DoorsDeps {
  doorsDir: string
  routes: Omit<DoorRoutes, 'runner'>
  runnerEvents: (sessionId: string) => RunnerEvents
  limits?: Partial<DoorLimits>
  /** createRunnerChannel unless a test hands in one without a limit. */
  createChannel?: (events: RunnerEvents) => RunnerChannel
  logger: Logger
}

export interface Doors {
  /** Opens the door, or gives the open one. */
  open(sessionId: string): Promise<Door>
  get(sessionId: string): Door | undefined
  /** Ends all connections; the folder stays. */
  close(sessionId: string): Promise<void>
  /** Closes and takes the folder away: only when the sandbox is gone for good. */
  remove(sessionId: string): Promise<void>
  list(): string[]
  /** Sessions that have a folder, open or not. */
  found(): Promise<string[]>
  closeAll(): Promise<void>
}

const SESSION_ID = idPattern('session')

export function createDoors(deps: DoorsDeps): Doors {
  const open = new Map<string, Promise<Door>>()
  const removals = new Map<string, Promise<void>>()
  const settled = new Map<string, Door>()
  const openDoor = async (sessionId: string) => {
    const { doorsDir, routes, runnerEvents, limits, logger } = deps
    // A folder that is being taken away would take the new socket along.
    await removals.get(sessionId)?.catch(() => undefined)
    const { createChannel = createRunnerChannel } = deps
    const runner = createChannel(runnerEvents(sessionId))
    const door = await createDoor({
      sessionId,
      socketPath: join(doorsDir, checkedId(sessionId), 'gateway.sock'),
      routes: { ...routes, runner },
      ...(limits ? { limits } : {}),
      logger,
    })
    settled.set(sessionId, door)
    return door
  }
  const close = async (sessionId: string) => {
    const opening = open.get(sessionId)
    if (!opening) return
    open.delete(sessionId)
    settled.delete(sessionId)
    await (await opening).close()
  }
  const removeDoor = async (sessionId: string) => {
    await close(sessionId)
    await rm(join(deps.doorsDir, checkedId(sessionId)), { recursive: true, force: true })
  }
  return {
    open(sessionId) {
      const existing = open.get(sessionId)
      if (existing) return existing
      const opening = openDoor(sessionId)
      open.set(sessionId, opening)
      opening.catch(() => {
        if (open.get(sessionId) === opening) open.delete(sessionId)
      })
      return opening
    },
    get: (sessionId) => settled.get(sessionId),
    close,
    async remove(sessionId) {
      const removal = removeDoor(sessionId)
      removals.set(sessionId, removal)
      try {
        await removal
      } finally {
        if (removals.get(sessionId) === removal) removals.delete(sessionId)
      }
    },
    list: () => [...open.keys()],
    found: async () => (await readdir(deps.doorsDir)).filter((name) => SESSION_ID.test(name)),
    async closeAll() {
      await Promise.all([...open.keys()].map(close))
    },
  }
}

/** The id becomes part of a path. */
function checkedId(sessionId: string): string {
  if (SESSION_ID.test(sessionId)) return sessionId
  throw new AppError('invalid', 'invalid_session_id', 'not a session id')
}
