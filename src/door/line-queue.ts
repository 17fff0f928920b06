// Reads lines from a socket and works on them one at a time. While too much waits, the socket is not read: a flood costs
// its sender time and nobody else memory.
import type { Duplex } from 'node:stream'
import { createLineSplitter } from '../lib/ndjson.ts'

export interface LineQueueOptions {
  socket: Duplex
  maxLineBytes: number
  /** A rejection ends the queue. */
  work: (line: string) => Promise<void>
  /** Bytes have arrived. */
  onBytes: () => void
  /** Called once; no line is worked on afterwards. */
  onEnd: (reason: string) => void
}

export interface LineQueue {
  /** Drops what waits; the line that is being worked on is finished. */
  stop(): void
  settled(): Promise<void>
}

export function createLineQueue(options: LineQueueOptions): LineQueue {
  const { socket, maxLineBytes } = options
  const split = createLineSplitter(maxLineBytes)
  const waiting: string[] = []
  let waitingChars = 0
  let stopped = false
  let working: Promise<void> | undefined
  const end = (reason: string) => {
    if (stopped) return
    stopped = true
    waiting.length = 0
    options.onEnd(reason)
  }
  /** Begins with a line, so that it never ends before it is known as the one that works. */
  const drain = async (first: string) => {
    try {
      for (let line: string | undefined = first; line !== undefined; line = waiting.shift()) {
        waitingChars -= line.length
        await options.work(line)
        if (stopped) return
        if (waitingChars < 2 * maxLineBytes) socket.resume()
      }
    } catch {
      end('not_stored')
    } finally {
      working = undefined
    }
  }
  socket.on('data', (chunk: Buffer) => {
    if (stopped) return
    options.onBytes()
    try {
      for (const line of split(chunk)) {
        waiting.push(line)
        waitingChars += line.length
      }
    } catch {
      // The splitter throws for one thing alone: a line over the cap.
      return end('frame_too_large')
    }
    if (waitingChars >= 2 * maxLineBytes || waiting.length > 256) socket.pause()
    if (working) return
    const first = waiting.shift()
    if (first !== undefined) working = drain(first)
  })
  socket.on('end', () => void Promise.resolve(working).then(() => end('ended')))
  socket.on('close', () => end('connection_closed'))
  return {
    stop: () => {
      stopped = true
      waiting.length = 0
    },
    settled: async () => working,
  }
}
