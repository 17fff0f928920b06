// The making of one layer: a fresh sandbox with an id of its own, its door, its log and its end. Used for what setup scripts
// make and for work trees; the maker holds a lease meanwhile.
import { randomBytes } from 'node:crypto'
import { delay, withDeadline } from '../../lib/deadline.ts'
import type { Logger } from '../../lib/logger.ts'
import { nameOwnProcess } from '../../lib/process-identity.ts'
import type { Environment } from '../../protocol/environment.ts'
import { AppError, toAppError } from '../../protocol/errors.ts'
import { createId } from '../../protocol/ids.ts'
import type { Layer, LayerClaim, LayerStore } from '../../store/layers.ts'
import type { DoorsPort, Hold } from '../effects.ts'

/** What the sandbox that becomes a layer is made from. */
export type LayerEnvironment = Pick<Environment, 'image' | 'limits' | 'variables'>

/** Sandboxes, as the making of layers needs them. */
export interface LayerSandboxes {
  identify(image: Environment['image']): Promise<string>
  /** Creates and starts one that becomes a layer. */
  startLayer(
    made: { sandboxId: string; environment: LayerEnvironment },
    signal: AbortSignal,
  ): Promise<void>
  /** Ends it and keeps what was written; resolves with the bytes that this takes. */
  keepLayer(sandboxId: string, layerId: string): Promise<number>
  hasLayer(layerId: string): Promise<boolean>
  remove(sandboxId: string, signal: AbortSignal): Promise<void>
  list(): Promise<{ sessionId: string; running: boolean; message: string }[]>
}

export interface LayerMakingDeps {
  store: LayerStore
  sandboxes: LayerSandboxes
  doors: DoorsPort
  /** Something was reported of the sandbox; returns a function that unsubscribes. */
  onReport(listener: (sandboxId: string) => void): () => void
  logger: Logger
}

export interface LayerMaking {
  layer: Layer
  holder: string
  environment: LayerEnvironment
  /** The server's own limit, in case that the runner does not end it. */
  limitMs: number
  /** Undefined when it was made. An error of the code `conflict` is told to whoever waits, any other is not. */
  failureOf(ended: Layer): AppError | undefined
  /** Its sandbox has ended before that. */
  endedEarly(message: string): AppError
}

const LEASE_MS = 30_000
const LOOK_MS = 2_000
const TIDY_MS = 30_000

type Wanted = Omit<LayerClaim, 'holder' | 'leaseMs' | 'ids'>

/** What is to be made by the caller now, with its hold on it, or what there is. */
export async function claimLayer(
  store: LayerStore,
  wanted: Wanted,
): Promise<{ layer: Layer; holder?: string }> {
  const holder = `${await nameOwnProcess()} ${randomBytes(8).toString('hex')}`
  const { claimed, layer } = await store.claim({
    ...wanted,
    ...{ holder, leaseMs: LEASE_MS },
    ids: {
      layerId: createId('layer', randomBytes(20)),
      sandboxId: createId('session', randomBytes(20)),
    },
  })
  return claimed ? { layer, holder } : { layer }
}

/** Whatever happens, nothing of its sandbox is left, and whoever waits for it is woken. */
export async function makeLayer(
  deps: LayerMakingDeps,
  making: LayerMaking,
  { hold, onLine }: { hold: Hold; onLine: (line: string) => void },
): Promise<string> {
  const { store, sandboxes, doors } = deps
  const { layer, environment, holder, limitMs, failureOf } = making
  const sandboxId = layer.sandboxId ?? ''
  const lease = keepLease(deps, making)
  const signal = AbortSignal.any([hold.signal, lease.signal])
  try {
    await doors.open(sandboxId, signal)
    await hold.assertHeld()
    await sandboxes.startLayer({ sandboxId, environment }, signal)
    const ended = await withDeadline(
      'the making of a layer',
      limitMs,
      (limit) => waitForEnd(deps, making, { signal: limit, onLine }),
      signal,
    )
    const failure = failureOf(ended)
    await hold.assertHeld()
    if (failure) throw failure
    const bytes = await sandboxes.keepLayer(sandboxId, layer.id)
    if (!(await store.finish(layer.id, holder, bytes)))
      throw new AppError('unavailable', 'layer_lost', 'This layer was begun anew meanwhile.')
    return layer.id
  } catch (error) {
    const { code, reason, message } = toAppError(error)
    const isOwn = code === 'conflict' && !signal.aborted
    if (isOwn) await store.fail(layer.id, holder, { reason, message })
    else await store.release(layer.id, holder)
    throw error
  } finally {
    lease.stop()
    for (const end of [sandboxes.remove, doors.close]) await tidy(deps, sandboxId, end)
  }
}

/** What is left is found by the clock. */
async function tidy({ logger }: LayerMakingDeps, sandboxId: string, end: LayerSandboxes['remove']) {
  await end(sandboxId, AbortSignal.timeout(TIDY_MS)).catch((err: unknown) =>
    logger.warn({ err, sandboxId }, 'something of a sandbox that became a layer is left'),
  )
}

function keepLease({ store, logger }: LayerMakingDeps, { layer, holder }: LayerMaking) {
  const controller = new AbortController()
  const renew = async () => {
    if (await store.renew(layer.id, holder, LEASE_MS)) return
    controller.abort(new AppError('unavailable', 'layer_lost', 'Somebody else makes this layer.'))
  }
  const timer = setInterval(() => {
    renew().catch((err: unknown) => logger.warn({ err }, 'renewing the lease of a layer failed'))
  }, LEASE_MS / 3)
  return { signal: controller.signal, stop: () => clearInterval(timer) }
}

/** Tells its log as it grows; resolves once the script has ended. Looks by itself as well: a notification may be lost. */
async function waitForEnd(
  { store, sandboxes, onReport }: LayerMakingDeps,
  { layer, endedEarly }: LayerMaking,
  { signal, onLine }: { signal: AbortSignal; onLine: (line: string) => void },
): Promise<Layer> {
  const { sandboxId } = layer
  let told = 0
  let isMissing = false
  for (;;) {
    const woken = new AbortController()
    const stopListening = onReport((id) => id === sandboxId && woken.abort())
    try {
      const now = await store.get(layer.id)
      if (!now) throw new AppError('unavailable', 'layer_lost', 'Somebody else makes this layer.')
      const fresh = Math.min(now.logCount - told, now.log.length)
      for (const line of now.log.slice(now.log.length - fresh)) onLine(line)
      told = now.logCount
      if (now.hasEnded) return now
      const sandbox = (await sandboxes.list()).find(({ sessionId }) => sessionId === sandboxId)
      // What it reported last may still be on its way.
      if (!sandbox?.running && isMissing)
        throw endedEarly(sandbox?.message ?? 'The sandbox is gone.')
      isMissing = !sandbox?.running
      await delay(LOOK_MS, AbortSignal.any([signal, woken.signal])).catch(() => undefined)
      signal.throwIfAborted()
    } finally {
      stopListening()
    }
  }
}
