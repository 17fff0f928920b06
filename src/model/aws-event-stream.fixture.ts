// Writes what `aws-event-stream.ts` reads, for tests and stand-ins.
import { crc32 } from 'node:zlib'

/** One message as Bedrock frames it. */
export function encodeAwsMessage(headers: Record<string, string>, payload: Buffer): Buffer {
  const encoded = Buffer.concat(
    Object.entries(headers).map(([name, value]) => {
      const sizes = Buffer.from([7, 0, 0])
      sizes.writeUInt16BE(Buffer.byteLength(value), 1)
      return Buffer.concat([
        Buffer.from([name.length]),
        Buffer.from(name),
        sizes,
        Buffer.from(value),
      ])
    }),
  )
  const prelude = Buffer.alloc(8)
  prelude.writeUInt32BE(16 + encoded.length + payload.length, 0)
  prelude.writeUInt32BE(encoded.length, 4)
  const start = Buffer.concat([prelude, checksum(prelude), encoded, payload])
  return Buffer.concat([start, checksum(start)])
}

function checksum(data: Buffer): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(crc32(data))
  return bytes
}
