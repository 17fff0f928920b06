// What answers of the model have used and is not stored yet, in a file: so that it is still told when this program is killed in
// the middle of an answer. Survives the program; of a cut of the machine's power the last moments may be missing.
import { closeSync, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { z } from 'zod'
import { encodeLine } from '../lib/ndjson.ts'
import type { ModelUsage } from './pass-through.ts'

export interface UsageJournal {
  /** What an earlier run of this program did not come to store. */
  left: ModelUsage[]
  /** What of a session is not stored yet. */
  waiting(sessionId: string): ModelUsage[]
  /** Is in the file when it returns; replaces what was noted of the same request before. */
  note(usage: ModelUsage): void
  /** It is stored. */
  forget(requestId: string): void
  close(): void
}

const REWRITE_BYTES = 1 << 20

const count = z.int().min(0)
const usageSchema = z.object({
  sessionId: z.string(),
  requestId: z.string(),
  upstreamRequestId: z.string().optional(),
  model: z.string(),
  inputTokens: count,
  outputTokens: count,
  cacheCreationTokens: count,
  cacheReadTokens: count,
  costUsd: z.number().optional(),
  durationMs: z.number(),
  status: z.int(),
  stopReason: z.string().nullable(),
})
const lineSchema = z.union([z.object({ used: usageSchema }), z.object({ stored: z.string() })])

/** `report` hears why something is not in the file: a full disk ends no answer of the model. It is written as soon as that goes. */
export function openUsageJournal(path: string, report: (error: unknown) => void): UsageJournal {
  const open = readOpen(path)
  const left = [...open.values()]
  let bytes = 0
  let isWhole = true
  const begin = () => {
    try {
      return writeAnew(path, open)
    } catch (error) {
      // What is there goes on, and is written anew as soon as that goes.
      report(error)
      isWhole = false
      return openSync(path, 'a', 0o600)
    }
  }
  let file = begin()
  const write = (line: z.input<typeof lineSchema>) => {
    // A line that is cut off would take the next one along.
    if (isWhole) {
      isWhole = false
      const text = encodeLine(line)
      writeFileSync(file, text)
      isWhole = true
      bytes += Buffer.byteLength(text)
      if (bytes < REWRITE_BYTES) return
    }
    const fresh = writeAnew(path, open)
    closeSync(file)
    file = fresh
    isWhole = true
    bytes = 0
  }
  const append = (line: z.input<typeof lineSchema>) => {
    try {
      write(line)
    } catch (error) {
      report(error)
    }
  }
  return {
    left,
    waiting: (sessionId) => [...open.values()].filter((used) => used.sessionId === sessionId),
    note: (usage) => {
      open.set(usage.requestId, usage)
      append({ used: usage })
    },
    forget: (requestId) => {
      if (open.delete(requestId)) append({ stored: requestId })
    },
    close: () => closeSync(file),
  }
}

/** The open file, which has the name only when all is in it. */
function writeAnew(path: string, open: ReadonlyMap<string, ModelUsage>): number {
  const file = openSync(`${path}.new`, 'w', 0o600)
  try {
    for (const used of open.values()) writeFileSync(file, encodeLine({ used }))
    renameSync(`${path}.new`, path)
    return file
  } catch (error) {
    closeSync(file)
    throw error
  }
}

function readOpen(path: string): Map<string, ModelUsage> {
  const open = new Map<string, ModelUsage>()
  for (const text of readIfThere(path).split('\n')) {
    const line = parseLine(text)
    if (line === undefined) continue
    if ('stored' in line) open.delete(line.stored)
    else open.set(line.used.requestId, toUsage(line.used))
  }
  return open
}

function toUsage(used: z.output<typeof usageSchema>): ModelUsage {
  return { ...used, upstreamRequestId: used.upstreamRequestId, costUsd: used.costUsd }
}

/** Undefined for a line that was cut when the machine stopped. */
function parseLine(text: string): z.output<typeof lineSchema> | undefined {
  try {
    return lineSchema.safeParse(JSON.parse(text)).data
  } catch {
    return undefined
  }
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return ''
    throw error
  }
}
