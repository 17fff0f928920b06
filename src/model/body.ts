// Bodies of requests and error answers: read whole with a cap, and parsed.
import type { IncomingMessage } from 'node:http'

/**
 * The whole body, or undefined when it is larger than allowed. Up to twice of that is read, so that a client which sends first
 * and reads then gets to see its refusal; beyond that the connection is ended.
 */
export async function readBody(
  stream: IncomingMessage,
  maxBytes: number,
): Promise<Buffer | undefined> {
  let chunks: Buffer[] = []
  let size = 0
  for await (const chunk of stream) {
    size += (chunk as Buffer).length
    if (size <= maxBytes) chunks.push(chunk as Buffer)
    else chunks = []
    if (size > 2 * maxBytes) stream.destroy()
  }
  return size > maxBytes ? undefined : Buffer.concat(chunks)
}

/** The parsed JSON; undefined when it is none, which no caller takes for a request or an error. */
export function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'))
  } catch {
    return undefined
  }
}
