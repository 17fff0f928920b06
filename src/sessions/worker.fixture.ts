// Workers on a database of their own, with ports that do what the test says.
import { createSilentLogger } from '../lib/logger.ts'
import type { SessionState } from '../protocol/session.ts'
import { startTestDatabase } from '../store/postgres/database.fixture.ts'
import { createNotifications, type Notifications } from '../store/postgres/notifications.ts'
import type { Store } from '../store/store.ts'
import { createDispatch, type Dispatch } from './dispatch.ts'
import type { EffectPorts } from './effects.ts'
import { defaultRules } from './rules/decide.ts'
import { exampleId, exampleSession } from './starting/new-session.fixture.ts'
import { createWorker, type WorkerOptions } from './worker.ts'

export const OWN = `refs/heads/${exampleSession(1).repository.branch}`
export const OPTIONS: WorkerOptions = {
  ...{ workerId: 'w', bounds: { 'changes.measure': 1 }, leaseMs: 30_000, pollMs: 100 },
}

export interface Workshop {
  store: Store
  notifications: Notifications
  dispatch: Dispatch
  createSession(): Promise<SessionState>
  /** Everything succeeds but what is given. */
  ports(overrides?: Partial<EffectPorts['repositories'] & EffectPorts['sandboxes']>): EffectPorts
  /** By the rules of `dispatch` unless told. Returns what ends it. */
  startWorker(given: EffectPorts, rules?: Dispatch): () => Promise<void>
  /** Resolves with the state that fits, woken by each change. */
  until(id: string, fits: (state: SessionState) => boolean): Promise<SessionState>
  /** Resolves when nothing is left to do for the session. */
  untilSettled(id: string): Promise<void>
  close(): Promise<void>
}

export async function openWorkshop(): Promise<Workshop> {
  const database = await startTestDatabase()
  const store = await database.openStore()
  const logger = createSilentLogger()
  const notifications = await createNotifications({ connection: database.connection, logger })
  const dispatch = createDispatch(store, defaultRules)
  let counter = 0
  return {
    ...{ store, notifications, dispatch },
    createSession: () => {
      counter++
      return dispatch.create(exampleId('session', counter), exampleSession(counter))
    },
    ports: (overrides = {}) => portsOf(dispatch, overrides),
    startWorker: (ports, rules = dispatch) => {
      const getSession = store.sessions.get
      const { effects } = store
      const worker = createWorker({ effects, dispatch: rules, ports, getSession, logger }, OPTIONS)
      const stopWaking = notifications.onEffects(() => worker.wake())
      return async () => {
        stopWaking()
        await worker.close()
      }
    },
    until: (id, fits) =>
      new Promise((resolve, reject) => {
        const look = async () => {
          const state = await store.sessions.get(id)
          if (!state || !fits(state)) return
          stop()
          resolve(state)
        }
        const stop = notifications.onSession((changed) => {
          if (changed === id) look().catch(reject)
        })
        look().catch(reject)
      }),
    untilSettled: (id) =>
      new Promise((resolve, reject) => {
        const look = async () => {
          if (!(await store.effects.list(id)).every(({ state }) => isOver(state))) return
          stop()
          resolve()
        }
        const stop = notifications.onEffects(() => void look().catch(reject))
        look().catch(reject)
      }),
    close: async () => {
      await notifications.close()
      await database.stop()
    },
  }
}

function isOver(state: string): boolean {
  return !['queued', 'running', 'cancelling'].includes(state)
}

function portsOf(
  dispatch: Dispatch,
  overrides: Partial<EffectPorts['repositories'] & EffectPorts['sandboxes']>,
): EffectPorts {
  return {
    repositories: {
      prepare: async () => ({ commit: 'c0ffee', baseBranch: 'main' }),
      measure: async () => ({ commit: 'c0ffee', filesChanged: 0, insertions: 0, deletions: 0 }),
      forward: async () => ({ commit: 'c0ffee' }),
      remove: async () => undefined,
      ...overrides,
    },
    sandboxes: {
      start: async () => 'container',
      startAhead: async () => undefined,
      has: async () => false,
      hasImage: async () => true,
      isWorking: async () => false,
      stop: async () => undefined,
      remove: async () => undefined,
      list: async () => [],
      ...overrides,
    },
    doors: { open: async () => undefined, close: async () => undefined },
    layers: { find: async () => [] },
    checkouts: { has: async () => false, find: async () => [], want: () => undefined },
    report: (id, command) => dispatch.command(id, command),
  }
}

/** Never ends by itself. */
export const hang = (begun: PromiseWithResolvers<void>) => (_: unknown, signal: AbortSignal) =>
  new Promise<never>((_resolve, reject) => {
    begun.resolve()
    signal.addEventListener('abort', () => reject(signal.reason))
  })
