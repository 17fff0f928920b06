// Figures and tables as people read them.
import type { Place } from '../../protocol/api.ts'
import type { Usage } from '../../protocol/session.ts'
import { fitLine, plainLine } from './plain-text.ts'

export function formatDuration(ms: number): string {
  if (ms < 59_950) return `${(ms / 1000).toFixed(1)} s`
  const seconds = Math.round(ms / 1000)
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`
}

const UNITS = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB']

export function formatBytes(bytes: number): string {
  const power = bytes < 1024 ? 0 : Math.min(4, Math.floor(Math.log2(bytes) / 10))
  const count = bytes / 1024 ** power
  return `${Number(count.toFixed(count < 10 ? 1 : 0))} ${UNITS[power]}`
}

export function formatCount(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`
}

export function formatUsage({
  requests,
  inputTokens,
  outputTokens,
  costUsd,
  ...cache
}: Usage): string {
  const read = inputTokens + cache.cacheReadTokens + cache.cacheCreationTokens
  const cost = costUsd === null ? '' : `, ${costUsd.toFixed(costUsd < 0.1 ? 4 : 2)} USD`
  return `${formatCount(requests, 'request')}, ${read} tokens in, ${outputTokens} out${cost}`
}

/** Two spaces between columns; the last one is not padded. Cells are made safe here. Of a terminal: no line is wider. */
export function formatTable(header: string[], rows: string[][], columns = Infinity): string {
  const cells = [header, ...rows].map((row) => row.map(plainLine))
  const widths = header.map((_, column) =>
    Math.max(...cells.map((row) => row[column]?.length ?? 0)),
  )
  const lines = cells.map((row) =>
    row.map((cell, column) => (column < row.length - 1 ? cell.padEnd(widths[column] ?? 0) : cell)),
  )
  return lines.map((row) => `${fitLine(row.join('  ').trimEnd(), columns)}\n`).join('')
}

export function formatPlace({ number, of }: Place): string {
  return `place ${number} of ${of}`
}
