// The reports that the gateway has not acknowledged yet, numbered and on disk before they are sent. Survives a kill at any
// moment: a torn last line is dropped, numbers go on. Bounded: beyond `maxBytes` output is dropped, never an end or a question.
import { type FileHandle, mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { encodeLine } from '../../lib/ndjson.ts'
import { type RunnerReport, runnerReportSchema } from '../../protocol/runner-frames.ts'
import { fitReport } from './cut-text.ts'

const FILE = 'journal.ndjson'
/** Acknowledged lines stay in the file until they amount to this. */
const REWRITE_BYTES = 4 << 20
/** So many of the last messages are known to have been reported, over restarts too. */
const MOST_UUIDS = 1_000
const DROPPABLE = new Set<RunnerReport['type']>([
  'phase.logged',
  'assistant.text',
  'assistant.thinking',
  'tool.called',
  'tool.returned',
  'command.output',
  'agent.notice',
  'hook.started',
  'hook.ended',
])

const lineSchema = z.union([
  z.object({ base: z.int().min(0), uuids: z.array(z.string()).default([]) }),
  z.object({ n: z.int().min(1), report: runnerReportSchema }),
])

interface JournalEntry {
  n: number
  report: RunnerReport
  bytes: number
}

export interface Journal {
  append(report: RunnerReport): void
  /** Entries after `n` that are on disk, in order, at most `limit`. */
  durableAfter(n: number, limit: number): JournalEntry[]
  /** All that are not acknowledged, also those that are still being written. */
  pending(): JournalEntry[]
  lastN(): number
  /** True when a message of the agent was reported, acknowledged or not. */
  hasReported(uuid: string): boolean
  acknowledge(n: number): void
  /** The gateway knows more than this journal (it was lost): numbers go on from there. */
  continueAfter(n: number): void
  /** Called whenever more entries are on disk. */
  onDurable(listener: () => void): void
  /** Resolves when everything appended so far is on disk. */
  flush(): Promise<void>
  close(): Promise<void>
}

export interface JournalOptions {
  folder: string
  maxBytes?: number
  /** A disk that refuses to take the journal does not stop the work: entries are then sent from memory. */
  onDiskError?: (error: unknown) => void
}

export async function openJournal(options: JournalOptions): Promise<Journal> {
  const { folder, maxBytes = 64 << 20, onDiskError = () => undefined } = options
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const path = join(folder, FILE)
  const found = await recover(path)
  const file = createJournalFile(path, found.bytes)
  const held = createHeld(found.entries)
  let lastN = found.lastN
  const { uuids } = found
  let durableN = lastN
  let isDropping = false
  let listener: () => void = () => undefined
  let queue: JournalEntry[] = []
  let writing: Promise<void> | undefined

  const add = (report: RunnerReport) => {
    const n = ++lastN
    const entry = { n, report, bytes: Buffer.byteLength(encodeLine({ n, report })) }
    if ('uuid' in report) remember(uuids, report.uuid)
    held.add(entry)
    queue.push(entry)
    writing ??= writeAll()
  }
  const whole = () => {
    const base = { base: (held.all()[0]?.n ?? lastN + 1) - 1, uuids: [...uuids] }
    return encodeLine(base) + held.all().map(lineOf).join('')
  }
  const writeAll = async () => {
    // The first turn of the loop runs after the caller's, so that what is appended together is written together.
    await Promise.resolve()
    while (queue.length > 0) {
      const batch = queue
      queue = []
      await file.write(batch.map(lineOf).join(''), whole).catch(onDiskError)
      durableN = Math.max(durableN, batch.at(-1)?.n ?? 0)
      listener()
    }
    writing = undefined
  }
  return {
    append(report) {
      const isFull = held.bytes() >= maxBytes && DROPPABLE.has(report.type)
      if (!isFull) add(fitReport(report))
      else if (!isDropping) add(droppedNotice())
      isDropping = isFull
    },
    durableAfter: (n, limit) => held.after(n, limit).filter((entry) => entry.n <= durableN),
    pending: held.all,
    lastN: () => lastN,
    hasReported: (uuid) => uuids.has(uuid),
    acknowledge: (n) => file.forget(held.dropUntil(n)),
    continueAfter(n) {
      if (n <= lastN) return
      const kept = held.all().map(({ report }) => report)
      held.dropUntil(lastN)
      queue = []
      lastN = n
      durableN = n
      for (const report of kept) add(report)
    },
    onDurable: (next) => {
      listener = next
    },
    flush: async () => writing,
    close: async () => {
      await writing
      await file.close()
    },
  }
}

/** The entries in memory, in order. */
function createHeld(found: JournalEntry[]) {
  let entries = found
  let total = found.reduce((sum, entry) => sum + entry.bytes, 0)
  return {
    all: () => entries,
    bytes: () => total,
    add(entry: JournalEntry) {
      entries.push(entry)
      total += entry.bytes
    },
    after(n: number, limit: number): JournalEntry[] {
      const at = entries.findIndex((entry) => entry.n > n)
      return at === -1 ? [] : entries.slice(at, at + limit)
    },
    /** Drops the entries up to `n`; answers with their size. */
    dropUntil(n: number): number {
      const at = entries.findIndex((entry) => entry.n > n)
      const dropped = at === -1 ? entries : entries.slice(0, at)
      entries = at === -1 ? [] : entries.slice(at)
      const bytes = dropped.reduce((sum, entry) => sum + entry.bytes, 0)
      total -= bytes
      return bytes
    },
  }
}

const lineOf = ({ n, report }: JournalEntry) => encodeLine({ n, report })

function droppedNotice(): RunnerReport {
  const text =
    'Some output is missing here: more was waiting for the gateway than the journal holds.'
  return { type: 'agent.notice', turnId: null, kind: 'dropped', text }
}

/**
 * The file under the journal: appended to, and written anew without what was acknowledged, or once there is room again after a
 * line was cut off: nothing behind that would ever be read.
 */
function createJournalFile(path: string, sizeBytes: number) {
  let handle: FileHandle | undefined
  let size = sizeBytes
  let forgotten = 0
  const opened = async () => {
    handle ??= await open(path, 'a', 0o600)
    return handle
  }
  let isWhole = true
  const append = async (text: string) => {
    isWhole = false
    const file = await opened()
    await file.appendFile(text)
    await file.datasync()
    isWhole = true
    size += Buffer.byteLength(text)
  }
  const writeAnew = async (text: string) => {
    const fresh = await open(`${path}.new`, 'w', 0o600)
    try {
      await fresh.writeFile(text)
      await fresh.datasync()
    } catch (error) {
      await rm(`${path}.new`, { force: true })
      throw error
    } finally {
      await fresh.close()
    }
    await rename(`${path}.new`, path)
    await handle?.close()
    handle = undefined
    isWhole = true
    size = Buffer.byteLength(text)
    forgotten = 0
  }
  return {
    /** `whole`: everything that is to be in the file, with this text. */
    async write(text: string, whole: () => string) {
      if (!isWhole) return writeAnew(whole())
      await append(text)
      if (forgotten >= REWRITE_BYTES && size >= REWRITE_BYTES) await writeAnew(whole())
    },
    forget(bytes: number) {
      forgotten += bytes
    },
    async close() {
      await handle?.close()
      handle = undefined
    },
  }
}

/** Reads what is there up to the first line that is not whole, and cuts the file there. */
async function recover(path: string) {
  const content = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return Buffer.alloc(0)
    throw error
  })
  let entries: JournalEntry[] = []
  let lastN = 0
  const uuids = new Set<string>()
  let bytes = 0
  for (let end = content.indexOf(10); end !== -1; end = content.indexOf(10, bytes)) {
    const line = parseLine(content.toString('utf8', bytes, end))
    if (line === undefined) break
    if ('base' in line) {
      lastN = Math.max(lastN, line.base)
      for (const uuid of line.uuids) remember(uuids, uuid)
    } else {
      // A number below an earlier one: the numbering began anew there (`continueAfter` only ever jumps up).
      entries = entries.filter((entry) => entry.n < line.n)
      entries.push({ ...line, bytes: end + 1 - bytes })
      lastN = line.n
      if ('uuid' in line.report) remember(uuids, line.report.uuid)
    }
    bytes = end + 1
  }
  if (bytes < content.length) {
    const file = await open(path, 'r+')
    try {
      await file.truncate(bytes)
    } finally {
      await file.close()
    }
  }
  return { entries, lastN, bytes, uuids }
}

/** Keeps the latest ones. */
function remember(uuids: Set<string>, uuid: string): void {
  uuids.delete(uuid)
  uuids.add(uuid)
  const [oldest] = uuids
  if (uuids.size > MOST_UUIDS && oldest !== undefined) uuids.delete(oldest)
}

function parseLine(text: string): z.infer<typeof lineSchema> | undefined {
  try {
    return lineSchema.safeParse(JSON.parse(text)).data
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}
