// Single files out of a zip archive in memory (jars, wheels): stored or deflated, without encryption and without zip64. Reads
// what the archive says at its end; an archive that is none has no files.
import { inflateRawSync } from 'node:zlib'

const END = 0x06054b50
const ENTRY = 0x02014b50
const END_BYTES = 22
const ENTRY_BYTES = 46
const LOCAL_BYTES = 30
const LONGEST_COMMENT = 0xffff
const MOST_BYTES = 16 << 20

/** The content of every file whose name is wanted. */
export function readZip(archive: Buffer, wanted: (name: string) => boolean): Buffer[] {
  const end = findEnd(archive)
  if (end === -1) return []
  const found: Buffer[] = []
  let at = archive.readUInt32LE(end + 16)
  while (at + ENTRY_BYTES <= archive.length && archive.readUInt32LE(at) === ENTRY) {
    const nameBytes = archive.readUInt16LE(at + 28)
    const name = archive.toString('utf8', at + ENTRY_BYTES, at + ENTRY_BYTES + nameBytes)
    if (wanted(name)) found.push(contentAt(archive, at))
    at += ENTRY_BYTES + nameBytes + archive.readUInt16LE(at + 30) + archive.readUInt16LE(at + 32)
  }
  return found
}

function findEnd(archive: Buffer): number {
  const first = Math.max(0, archive.length - END_BYTES - LONGEST_COMMENT)
  for (let at = archive.length - END_BYTES; at >= first; at--)
    if (archive.readUInt32LE(at) === END) return at
  return -1
}

function contentAt(archive: Buffer, entry: number): Buffer {
  const method = archive.readUInt16LE(entry + 10)
  const size = archive.readUInt32LE(entry + 20)
  const local = archive.readUInt32LE(entry + 42)
  const start =
    local + LOCAL_BYTES + archive.readUInt16LE(local + 26) + archive.readUInt16LE(local + 28)
  const bytes = archive.subarray(start, start + size)
  return method === 0 ? bytes : inflateRawSync(bytes, { maxOutputLength: MOST_BYTES })
}
