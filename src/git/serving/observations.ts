// What git has seen (pushes), numbered and on disk before the push ends, until the gateway has acknowledged it.
// The journal is one file of lines; it begins with the number up to which everything was acknowledged.
import { EventEmitter, once } from 'node:events'
import { type FileHandle, open, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { encodeLine } from '../../lib/ndjson.ts'
import { sessionIdSchema } from '../../protocol/ids.ts'
import { outwardSchema } from '../../protocol/session.ts'
import { readIfThere } from '../read-if-there.ts'

export const observedPushSchema = z.object({
  kind: z.literal('push'),
  sessionId: sessionIdSchema,
  /** Which of the session's additional repositories; absent for the main one. */
  repository: z.string().optional(),
  ref: z.string(),
  /** 40 zeros when the ref is new. */
  old: z.string(),
  new: z.string(),
  accepted: z.boolean(),
  /** Why it was not accepted, or why it is kept here; null when it went out or has no outside. */
  reason: z.string().nullable(),
  outward: outwardSchema,
  message: z.string(),
})
export type ObservedPush = z.infer<typeof observedPushSchema>

/** `n` counts up and never repeats; `at` is ISO 8601, UTC. */
export const observationSchema = observedPushSchema.extend({ n: z.int().min(1), at: z.string() })
export type Observation = z.infer<typeof observationSchema>

export interface Observations {
  /** Resolves when it is on disk. */
  add(push: ObservedPush): Promise<void>
  /** All after `n`, then each new one, until the signal aborts. */
  follow(after: number, signal: AbortSignal): AsyncGenerator<Observation>
  /** Forgets everything up to and with `n`. */
  acknowledge(n: number): Promise<void>
  close(): Promise<void>
}

const acknowledgedSchema = z.object({ acknowledged: z.int().min(0) })
/** Refused pushes cost nothing to make: beyond this many that wait, they are no longer recorded. */
const MOST_REFUSED_WAITING = 10_000
const REWRITE_BYTES = 1 << 20

export async function createObservations(
  directory: string,
  nowIso: () => string,
): Promise<Observations> {
  const path = join(directory, 'journal.ndjson')
  let { acknowledged, waiting } = await readJournal(path)
  let last = waiting.at(-1)?.n ?? acknowledged
  let bytes = 0
  // Where there is no room for a new one, what is there goes on.
  let file = await writeAnew(path, acknowledged, waiting).catch(() => openAsItIs(path))
  const added = new EventEmitter().setMaxListeners(0)
  let queue: Promise<unknown> = Promise.resolve()
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const result = queue.then(work)
    queue = result.catch(() => undefined)
    return result
  }
  const append = async (value: unknown) => {
    bytes += await file.append(encodeLine(value))
  }

  return {
    add: (push) =>
      inTurn(async () => {
        if (!push.accepted && waiting.length >= MOST_REFUSED_WAITING) return
        const observation = { ...push, n: last + 1, at: nowIso() }
        await append(observation)
        last = observation.n
        waiting.push(observation)
        added.emit('added')
      }),
    follow: async function* (after, signal) {
      let seen = after
      while (!signal.aborted) {
        const next = waiting.filter(({ n }) => n > seen)
        for (const observation of next) {
          yield observation
          seen = observation.n
        }
        if (next.length === 0 && !(await until(added, 'added', signal))) return
      }
    },
    acknowledge: (n) =>
      inTurn(async () => {
        if (n <= acknowledged) return
        acknowledged = Math.min(n, last)
        waiting = waiting.filter((observation) => observation.n > acknowledged)
        await append({ acknowledged })
        if (bytes < REWRITE_BYTES) return
        // What is there goes on where there is no room for a new one.
        const fresh = await writeAnew(path, acknowledged, waiting)
        await file.close()
        file = fresh
        bytes = 0
      }),
    close: () => inTurn(() => file.close()),
  }
}

/** False when the signal aborts first. */
async function until(emitter: EventEmitter, name: string, signal: AbortSignal): Promise<boolean> {
  try {
    await once(emitter, name, { signal })
    return true
  } catch (error) {
    if (signal.aborted) return false
    throw error
  }
}

async function writeAnew(path: string, acknowledged: number, waiting: Observation[]) {
  const temporary = `${path}.new`
  await rm(temporary, { force: true })
  const handle = await open(temporary, 'a', 0o600)
  const file = createLineFile(handle)
  try {
    await file.append([{ acknowledged }, ...waiting].map(encodeLine).join(''))
    await rename(temporary, path)
    return file
  } catch (error) {
    await handle.close()
    throw error
  }
}

async function openAsItIs(path: string) {
  const text = await readIfThere(path)
  const whole = Buffer.byteLength(text.slice(0, text.lastIndexOf('\n') + 1))
  return createLineFile(await open(path, 'a', 0o600), whole)
}

/** Holds whole lines only: what a full disk took of one is cut off before the next, which would be lost behind it. */
function createLineFile(handle: FileHandle, wholeBytes?: number) {
  let size = wholeBytes ?? 0
  let isTorn = wholeBytes !== undefined
  return {
    /** Resolves with the number of bytes when they are on disk. */
    append: async (text: string) => {
      if (isTorn) await handle.truncate(size)
      isTorn = true
      await handle.appendFile(text)
      await handle.datasync()
      isTorn = false
      const bytes = Buffer.byteLength(text)
      size += bytes
      return bytes
    },
    close: () => handle.close(),
  }
}

async function readJournal(
  path: string,
): Promise<{ acknowledged: number; waiting: Observation[] }> {
  let acknowledged = 0
  const waiting: Observation[] = []
  for (const line of (await readIfThere(path)).split('\n')) {
    const value = parseLine(line)
    const seen = observationSchema.safeParse(value)
    const mark = acknowledgedSchema.safeParse(value)
    if (seen.success) waiting.push(seen.data)
    else if (mark.success) acknowledged = Math.max(acknowledged, mark.data.acknowledged)
  }
  return { acknowledged, waiting: waiting.filter(({ n }) => n > acknowledged) }
}

/** Undefined for a line that was cut when the machine stopped: it was never promised to anybody. */
function parseLine(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}
