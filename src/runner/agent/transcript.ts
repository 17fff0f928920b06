// The agent's own record of its conversation on disk, which is what it knows when it is started again. Claude Code keeps it
// at `projects/<folder of the checkout>/<id>.jsonl`, those of subagents below `<id>/`, one message a line.
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { SDKMessage } from '@anthropic-ai/claude-agent-sdk/core'
import { z } from 'zod'
import { openPlainFile } from '../../lib/plain-file.ts'
import type { Variables } from './agent-environment.ts'

const UUID_FIELD = /"uuid":"([0-9a-f-]{36})"/g
/** A turn may be long; what was missed at a death are its last messages. */
const MOST_MISSED = 500

export type ConversationMessage = Extract<SDKMessage, { type: 'assistant' | 'user' }>

export interface Transcript {
  /** True when a whole line with this uuid was there at the last look. */
  has(uuid: string): boolean
  look(): Promise<void>
  /** The last messages behind the one with this uuid; nothing of what lies before `fromByte`. */
  messagesAfter(uuid: string, fromByte: number): Promise<ConversationMessage[]>
  sizeBytes(): Promise<number>
}

export function claudeHome(variables: Variables): string {
  return variables.CLAUDE_CONFIG_DIR ?? join(variables.HOME ?? '/root', '.claude')
}

export function createTranscript(
  variables: Variables,
  conversationId: () => string | null,
): Transcript {
  const uuids = new Set<string>()
  const read = new Map<string, number>()
  const look = async () => {
    const id = conversationId()
    const main = id === null ? undefined : await transcriptPath(variables, id)
    if (main === undefined) return
    const below = main.slice(0, -'.jsonl'.length)
    const others = (await filesBelow(below)).filter((name) => name.endsWith('.jsonl'))
    for (const path of [main, ...others.map((name) => join(below, name))]) {
      const { text, end } = await readLines(path, read.get(path) ?? 0)
      read.set(path, end)
      for (const [, uuid = ''] of text.matchAll(UUID_FIELD)) uuids.add(uuid)
    }
  }
  const readMain = async (from: number) => {
    const id = conversationId()
    const path = id === null ? undefined : await transcriptPath(variables, id)
    return path === undefined ? { text: '', end: 0 } : readLines(path, from)
  }
  return {
    has: (uuid) => uuids.has(uuid),
    look,
    async messagesAfter(uuid, fromByte) {
      const lines = (await readMain(fromByte)).text.split('\n').filter((line) => line !== '')
      const at = lines.findIndex((line) => line.includes(`"uuid":"${uuid}"`))
      if (at === -1 && fromByte === 0) return []
      return lines
        .slice(at + 1)
        .slice(-MOST_MISSED)
        .flatMap(toMessage)
    },
    sizeBytes: async () => (await readMain(0)).end,
  }
}

export async function transcriptPath(
  variables: Variables,
  id: string,
): Promise<string | undefined> {
  const projects = join(claudeHome(variables), 'projects')
  const found = (await filesBelow(projects)).find((name) => name.endsWith(`/${id}.jsonl`))
  return found === undefined ? undefined : join(projects, found)
}

/**
 * False for one of which a kill, a full disk or a failure of power has left nothing but an empty file or its first lines: Claude
 * Code goes on with none that has no message.
 */
export async function hasMessages(variables: Variables, id: string): Promise<boolean> {
  const path = await transcriptPath(variables, id)
  if (path === undefined) return false
  const { text } = await readLines(path, 0)
  return text.split('\n').some((line) => lineSchema.safeParse(parseLine(line)).success)
}

/** Claude Code's own filling, such as where a conversation that was cut off is taken up again. */
const SYNTHETIC = '<synthetic>'

const lineSchema = z.object({
  type: z.enum(['assistant', 'user']),
  uuid: z.string(),
  isSidechain: z.boolean().default(false),
  isMeta: z.boolean().default(false),
  message: z
    .object({ content: z.union([z.string(), z.array(z.object({ type: z.string() }).loose())]) })
    .loose(),
})

/** A line of the conversation itself as the message that the agent had sent, or would have. */
function toMessage(line: string): ConversationMessage[] {
  const { data } = lineSchema.safeParse(parseLine(line))
  if (!data || data.isSidechain || data.isMeta || data.message.model === SYNTHETIC) return []
  const { type, uuid, message } = data
  return [{ type, uuid, message, parent_tool_use_id: null } as unknown as ConversationMessage]
}

/** Undefined for what a full disk or a kill has cut off, and the agent has written on behind. */
function parseLine(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}

/** Whole lines from a byte on; `end` is where the last of them ends. */
async function readLines(path: string, from: number): Promise<{ text: string; end: number }> {
  const file = await openPlainFile(path)
  if (!file) return { text: '', end: from }
  try {
    const { size } = await file.stat()
    const buffer = Buffer.alloc(Math.max(0, size - from))
    const { bytesRead } = await file.read(buffer, 0, buffer.length, from)
    const length = buffer.subarray(0, bytesRead).lastIndexOf(10) + 1
    return { text: buffer.toString('utf8', 0, length), end: from + length }
  } finally {
    await file.close()
  }
}

async function filesBelow(folder: string): Promise<string[]> {
  return readdir(folder, { recursive: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw error
  })
}
