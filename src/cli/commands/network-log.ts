// `errand logs --network`: the hosts that the gateway has seen a session ask for, and with --follow those that come.
import type { Client } from '../../client/client.ts'
import type { NetworkEntry } from '../../protocol/network-log.ts'
import type { Printer } from '../command.ts'
import type { CliDeps } from '../deps.ts'
import { formatBytes, formatDuration } from '../terminal/format.ts'
import { plainLine } from '../terminal/plain-text.ts'

export interface NetworkLogOptions {
  client: Client
  print: Printer
  sessionId: string
}

/** What there is; with `follow`, which Ctrl-C ends, what comes as well. */
export async function printNetworkLog(
  { client, print, sessionId }: NetworkLogOptions,
  { follow, onInterrupt }: { follow: boolean } & Pick<CliDeps, 'onInterrupt'>,
): Promise<void> {
  let after = 0
  for (let more = true; more; ) {
    const page = await client.readNetwork(sessionId, { after })
    for (const entry of page.entries) printEntry(print, entry)
    after = page.through
    more = page.more
  }
  if (!follow) return
  const ended = new AbortController()
  const stopListening = onInterrupt(() => ended.abort())
  const { signal } = ended
  for await (const item of client.followNetwork(sessionId, { afterSeq: after, signal }))
    if (item.kind === 'entry') printEntry(print, item.entry)
  stopListening()
}

function printEntry(print: Printer, entry: NetworkEntry): void {
  print.json(entry)
  print.line(describeEntry(entry))
}

export function describeEntry(entry: NetworkEntry): string {
  const { at, host, port, method, allowed, reason, bytesUp, bytesDown, durationMs, count } = entry
  const mark = !allowed ? '⛔' : durationMs === null ? '●' : reason === null ? '✓' : '✕'
  const moved = `↑ ${formatBytes(bytesUp)} ↓ ${formatBytes(bytesDown)}`
  const parts = [
    `${at.slice(11, 19)} ${mark} ${plainLine(method)} ${plainLine(host)}:${port}`,
    ...(allowed ? [moved] : []),
    ...(durationMs === null ? ['open'] : allowed ? [formatDuration(durationMs)] : []),
    ...(reason === null ? [] : [plainLine(reason)]),
    ...(count > 1 ? [`${count} times`] : []),
  ]
  return parts.join('  ')
}
