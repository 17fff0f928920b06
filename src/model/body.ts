// Bodies of requests and error answers: read whole with a cap, and parsed.
import type { IncomingMessage } from 'node:http'
import { brotliDecompressSync, gunzipSync, inflateSync, zstdDecompressSync } from 'node:zlib'

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

const DECODERS = {
  gzip: gunzipSync,
  deflate: inflateSync,
  br: brotliDecompressSync,
  zstd: zstdDecompressSync,
}
const MOST_DECODED_BYTES = 1 << 20

/** As it was before it was encoded; empty where that cannot be had or is larger than a MiB. */
export function decodeBody(bytes: Buffer, encoding = 'identity'): Buffer {
  if (encoding === 'identity') return bytes
  const name = encoding.toLowerCase()
  const decode = Object.hasOwn(DECODERS, name) ? DECODERS[name as keyof typeof DECODERS] : undefined
  try {
    return decode?.(bytes, { maxOutputLength: MOST_DECODED_BYTES }) ?? Buffer.alloc(0)
  } catch {
    return Buffer.alloc(0)
  }
}

/** The parsed JSON; undefined when it is none, which no caller takes for a request or an error. */
export function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'))
  } catch {
    return undefined
  }
}
