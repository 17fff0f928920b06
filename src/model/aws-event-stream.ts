// Reads the binary event stream in which Bedrock answers (application/vnd.amazon.eventstream): frames of headers and payload
// with checksums. Source: the event stream encoding of the AWS SDK documentation. Only reads; the bytes pass elsewhere.
import { crc32 } from 'node:zlib'

export interface AwsMessage {
  /** Headers with text values; others are skipped. */
  headers: Record<string, string>
  payload: Buffer
}

const PRELUDE_BYTES = 12
const CHECKSUM_BYTES = 4
const MAX_MESSAGE_BYTES = 16 << 20
const TEXT_TYPE = 7
/** Bytes of the values whose type has a fixed size; 6 and 7 say their size themselves. */
const VALUE_BYTES: Readonly<Record<number, number>> = {
  0: 0,
  1: 0,
  2: 1,
  3: 2,
  4: 4,
  5: 8,
  8: 8,
  9: 16,
}

/** Takes chunks as they come and calls `onMessage` for each whole frame; throws for what is no such stream. */
export function createAwsStreamReader(
  onMessage: (message: AwsMessage) => void,
): (chunk: Buffer) => void {
  let chunks: Buffer[] = []
  let size = 0
  let needed = PRELUDE_BYTES
  return (chunk) => {
    chunks.push(chunk)
    size += chunk.length
    if (size < needed) return
    let rest = chunks.length === 1 ? chunk : Buffer.concat(chunks)
    for (;;) {
      needed = rest.length < PRELUDE_BYTES ? PRELUDE_BYTES : readLength(rest)
      if (rest.length < needed) break
      onMessage(readMessage(rest.subarray(0, needed)))
      rest = rest.subarray(needed)
    }
    chunks = rest.length > 0 ? [rest] : []
    size = rest.length
  }
}

function readLength(bytes: Buffer): number {
  const length = bytes.readUInt32BE(0)
  const smallest = PRELUDE_BYTES + bytes.readUInt32BE(4) + CHECKSUM_BYTES
  const isSound = bytes.readUInt32BE(8) === crc32(bytes.subarray(0, 8))
  if (isSound && length >= smallest && length <= MAX_MESSAGE_BYTES) return length
  throw new Error('not an event stream of AWS')
}

function readMessage(bytes: Buffer): AwsMessage {
  const end = bytes.length - CHECKSUM_BYTES
  if (bytes.readUInt32BE(end) !== crc32(bytes.subarray(0, end)))
    throw new Error('a damaged message in the event stream')
  const headersEnd = PRELUDE_BYTES + bytes.readUInt32BE(4)
  const headers = readHeaders(bytes.subarray(PRELUDE_BYTES, headersEnd))
  return { headers, payload: bytes.subarray(headersEnd, end) }
}

function readHeaders(bytes: Buffer): Record<string, string> {
  const headers: Record<string, string> = {}
  let at = 0
  while (at < bytes.length) {
    const nameEnd = at + 1 + bytes.readUInt8(at)
    const name = bytes.toString('utf8', at + 1, nameEnd)
    const type = bytes.readUInt8(nameEnd)
    const fixed = VALUE_BYTES[type]
    const start = nameEnd + (fixed === undefined ? 3 : 1)
    const valueEnd = start + (fixed ?? bytes.readUInt16BE(nameEnd + 1))
    if (valueEnd > bytes.length) throw new Error('a damaged header in the event stream')
    if (type === TEXT_TYPE) headers[name] = bytes.toString('utf8', start, valueEnd)
    at = valueEnd
  }
  return headers
}
