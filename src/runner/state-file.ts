// What the runner must remember over its own restarts, beside the journal: one small JSON file, replaced as a whole.
// The turn's end is not in it: an end that the gateway has not acknowledged is still in the journal.
import {
  closeSync,
  constants,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { z } from 'zod'

const snapshotSchema = z.object({
  head: z.string(),
  tree: z.string().nullable(),
  submodules: z.array(z.string()).optional(),
})
const stateSchema = z.object({
  /** The conversation of the agent; chosen by us before its first start. */
  conversationId: z.string().nullable().default(null),
  /** The checkout that was finished, so that a broken one is made again. */
  checkout: z.string().nullable().default(null),
  /** The same for additional repositories, by name. */
  additional: z.array(z.string()).default([]),
  /** The turn that was started last, and what the work tree was like before it. */
  turn: z
    .object({
      id: z.string(),
      before: snapshotSchema.nullable(),
      /** In the additional repositories, by name. */
      additional: z.record(z.string(), snapshotSchema).optional(),
    })
    .nullable()
    .default(null),
  /** What was said last of settings that are not followed. */
  settingsTold: z.string().default(''),
  openQuestions: z.array(z.string()).default([]),
  /** The turn whose plan was approved, which an agent that is started again in it works on. */
  planApprovedIn: z.string().nullable().default(null),
  /** Commits that could not be pushed at the end of their turn. */
  pushPending: z.boolean().default(false),
  /** Additional repositories of which the same is true. */
  pushPendingIn: z.array(z.string()).default([]),
  /** Up to this size the transcript came from a lost sandbox, which had reported what it holds. */
  transcriptFrom: z.int().default(0),
  /** What repositories were like before the work that is in no commit yet, by name; '' is the main one. Null: not known. */
  uncommitted: z.record(z.string(), snapshotSchema.nullable()).default({}),
  /** When that was saved from which this sandbox went on, until the agent was told. */
  replacedAt: z.string().nullable().default(null),
})
type RunnerState = z.infer<typeof stateSchema>

/** Kept on the disk for the next time: a little is written also where there is no room left. */
const RESERVED_BYTES = 16 << 10

export interface StateFile {
  get(): RunnerState
  /** False when it is not on the disk. */
  set(change: Partial<RunnerState>): boolean
  /** Takes over what another sandbox remembered, except what was true of its disk alone. */
  restore(value: unknown): void
}

/** A disk that refuses to take it does not stop the work: it is remembered as long as this program lives, and written with the next. */
export function openStateFile(path: string, onDiskError: (error: unknown) => void): StateFile {
  mkdirSync(dirname(path), { recursive: true })
  let state = readState(path)
  const set = (change: Partial<RunnerState>) => {
    state = { ...state, ...change }
    try {
      replaceWhole(path, JSON.stringify(state))
      return true
    } catch (error) {
      onDiskError(error)
      return false
    }
  }
  return {
    get: () => state,
    set,
    restore: (value) => {
      set({ ...stateSchema.parse(value), checkout: null, additional: [] })
    },
  }
}

function replaceWhole(path: string, text: string): void {
  const temporary = `${path}.new`
  const file = openSync(temporary, constants.O_WRONLY | constants.O_CREAT, 0o600)
  try {
    // All of it: one write alone may take a part, and say no more than that.
    writeFileSync(file, text)
    ftruncateSync(file, Buffer.byteLength(text))
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
  renameSync(temporary, path)
  reserve(temporary)
}

function reserve(path: string): void {
  try {
    writeFileSync(path, Buffer.alloc(RESERVED_BYTES), { mode: 0o600 })
  } catch {
    // What of it found room is there; the next write says what is wrong, if it does not fit.
  }
}

/** A missing or broken file is an empty state: the work tree and the conversation on disk are still there. */
function readState(path: string): RunnerState {
  let value: unknown = {}
  try {
    value = JSON.parse(readFileSync(path, 'utf8'))
  } catch (error) {
    const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT'
    if (!isMissing && !(error instanceof SyntaxError)) throw error
  }
  const parsed = stateSchema.safeParse(value)
  return parsed.success ? parsed.data : stateSchema.parse({})
}
