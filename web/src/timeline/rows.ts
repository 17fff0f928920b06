// Turns timeline items into the rows that are drawn: prompts stand where their turn began, calls of a subagent stand
// below the call that started it, and runs of looking around fold into one row.
import { saysAgain, type TimelineItem, type ToolItem } from '../../../src/protocol/timeline.ts'

export interface ToolNode {
  tool: ToolItem
  children: ToolNode[]
}

export type Row =
  | { kind: 'item'; key: string; item: Exclude<TimelineItem, ToolItem> }
  | { kind: 'tool'; key: string; node: ToolNode }
  | { kind: 'run'; key: string; nodes: ToolNode[] }

/** Calls that only look around: two or more of them in a row become one line. */
const LOOKING = new Set(['Read', 'Grep', 'Glob', 'LS', 'NotebookRead', 'WebFetch', 'WebSearch'])

export function toRows(items: readonly TimelineItem[]): Row[] {
  const nodes = new Map<string, ToolNode>()
  const rows: Row[] = []
  for (const item of inTurnOrder(items)) {
    if (item.kind !== 'tool') {
      const last = rows.at(-1)
      if (repeatsFailure(item, last) || (last?.kind === 'item' && saysAgain(item, last.item)))
        continue
      rows.push({ kind: 'item', key: `${item.kind}-${item.seq}`, item })
      continue
    }
    const node: ToolNode = { tool: item, children: [] }
    nodes.set(item.toolUseId, node)
    const parent = item.parentToolUseId === null ? undefined : nodes.get(item.parentToolUseId)
    if (parent) parent.children.push(node)
    else addTool(rows, node)
  }
  return rows
}

/** A failed phase says it all; that the sandbox was stopped for it and the session failed by it is left out. */
function repeatsFailure(item: Exclude<TimelineItem, ToolItem>, last: Row | undefined): boolean {
  if (item.kind !== 'notice' || last?.kind !== 'item' || last.item.kind !== 'preparation')
    return false
  const failed = last.item.phases.find((phase) => phase.state === 'failed')
  return failed !== undefined && (item.code === 'sandbox.stopped' || item.code === failed.reason)
}

function addTool(rows: Row[], node: ToolNode): void {
  const key = `tool-${node.tool.seq}`
  const last = rows.at(-1)
  const folds = LOOKING.has(node.tool.name) && !node.tool.isError
  if (folds && last?.kind === 'run') last.nodes.push(node)
  else if (folds && last?.kind === 'tool' && isLooking(last.node))
    rows[rows.length - 1] = { kind: 'run', key: last.key, nodes: [last.node, node] }
  else rows.push({ kind: 'tool', key, node })
}

function isLooking(node: ToolNode): boolean {
  return LOOKING.has(node.tool.name) && !node.tool.isError
}

/**
 * A message that was sent while another turn ran is moved to where its own turn begins. One that still waits is left
 * out, for the queue shows it; only when nothing runs does the first stand here.
 */
function inTurnOrder(items: readonly TimelineItem[]): TimelineItem[] {
  const ordered: TimelineItem[] = []
  const waiting: TimelineItem[] = []
  let running: string | null = null
  const begin = (prompt: TimelineItem | undefined) => {
    if (prompt?.kind !== 'prompt') return
    running = prompt.turnId
    ordered.push(prompt)
  }
  for (const item of items) {
    if (item.kind === 'prompt') {
      if (running === null) begin(item)
      else waiting.push(item)
      continue
    }
    ordered.push(item)
    if (item.kind === 'end' && item.turnId === running) {
      running = null
      begin(waiting.shift())
    }
  }
  return ordered
}

/** The turns whose prompts stand in the timeline; what else waits belongs to the queue. */
export function shownTurns(rows: readonly Row[]): Set<string> {
  const turns = rows.flatMap((row) =>
    row.kind === 'item' && row.item.kind === 'prompt' ? [row.item.turnId] : [],
  )
  return new Set(turns)
}

/** What was asked in a turn, as the composer would take it. */
export function promptOf(rows: readonly Row[], turnId: string) {
  for (const row of rows)
    if (row.kind === 'item' && row.item.kind === 'prompt' && row.item.turnId === turnId)
      return { text: row.item.text, kind: row.item.turnKind }
  return undefined
}

/** Why the commits of a repository (null: the main one) are not yet at its remote, as was said last. */
export function keptReason(rows: readonly Row[], repository: string | null): string | null {
  const last = rows.findLast(
    (row) =>
      row.kind === 'item' &&
      row.item.kind === 'push' &&
      row.item.repository === repository &&
      (row.item.outward === 'kept' || row.item.outward === 'refused'),
  )
  return last?.kind === 'item' && last.item.kind === 'push' ? last.item.reason : null
}

/** In words: "7 files read, 2 searches". */
export function describeRun(nodes: readonly ToolNode[]): string {
  const count = (...names: string[]) => nodes.filter(({ tool }) => names.includes(tool.name)).length
  const parts: [number, string, string][] = [
    [count('Read', 'NotebookRead'), 'file read', 'files read'],
    [count('Grep', 'Glob'), 'search', 'searches'],
    [count('LS'), 'folder listed', 'folders listed'],
    [count('WebFetch'), 'page fetched', 'pages fetched'],
    [count('WebSearch'), 'web search', 'web searches'],
  ]
  return parts
    .filter(([number]) => number > 0)
    .map(([number, one, many]) => `${number} ${number === 1 ? one : many}`)
    .join(', ')
}
