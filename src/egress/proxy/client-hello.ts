// Reads the server name out of the first bytes of a TLS connection (RFC 8446 section 4.1.2, RFC 6066 section 3). Pure; it
// decrypts nothing. Limits: what is asked for inside TLS (Host, :authority) and an encrypted inner greeting (ECH) are unseen.

export type Greeting =
  | { kind: 'more' }
  | { kind: 'not_tls' }
  | { kind: 'malformed' }
  | { kind: 'hello'; serverName: string | null }

const HANDSHAKE_RECORD = 22
const CLIENT_HELLO = 1
const SERVER_NAME = 0
/** Real greetings stay below 4 KiB, also with post-quantum keys. */
const MAX_HELLO_BYTES = 32_768

const MORE: Greeting = { kind: 'more' }
const MALFORMED: Greeting = { kind: 'malformed' }

/** `bytes` is all that was received so far; asks for `more` until the greeting is whole. */
export function readGreeting(bytes: Buffer): Greeting {
  if (bytes.length === 0) return MORE
  if (bytes[0] !== HANDSHAKE_RECORD) return { kind: 'not_tls' }
  const handshake = joinRecords(bytes)
  if (handshake === null) return MALFORMED
  if (handshake.length < 4) return MORE
  if (handshake[0] !== CLIENT_HELLO) return MALFORMED
  const length = handshake.readUIntBE(1, 3)
  if (length > MAX_HELLO_BYTES) return MALFORMED
  if (handshake.length < 4 + length) return MORE
  try {
    return { kind: 'hello', serverName: readServerName(handshake.subarray(4, 4 + length)) }
  } catch (error) {
    if (error instanceof RangeError) return MALFORMED
    throw error
  }
}

/** The handshake bytes of all records that have begun to arrive; null when a record is no handshake. */
function joinRecords(bytes: Buffer): Buffer | null {
  const parts: Buffer[] = []
  let offset = 0
  while (offset + 5 <= bytes.length) {
    const length = bytes.readUInt16BE(offset + 3)
    if (bytes[offset] !== HANDSHAKE_RECORD || bytes[offset + 1] !== 3) return null
    if (length === 0 || length > 16_384) return null
    parts.push(bytes.subarray(offset + 5, offset + 5 + length))
    offset += 5 + length
    const first = parts[0]
    if (first && first.length >= 4 && joinedLength(parts) >= 4 + first.readUIntBE(1, 3)) break
  }
  return Buffer.concat(parts)
}

function joinedLength(parts: Buffer[]): number {
  return parts.reduce((sum, part) => sum + part.length, 0)
}

/** Throws RangeError for what is not a well-formed ClientHello body. */
function readServerName(hello: Buffer): string | null {
  const body = createReader(hello)
  body.skip(2 + 32)
  body.vector(1)
  body.vector(2)
  body.vector(1)
  if (body.left() === 0) return null
  const extensions = createReader(body.vector(2))
  let serverName: string | null = null
  while (extensions.left() > 0) {
    const type = extensions.number(2)
    const content = extensions.vector(2)
    if (type !== SERVER_NAME) continue
    if (serverName !== null) throw new RangeError('two server names')
    serverName = readNameList(content)
  }
  return serverName
}

function readNameList(content: Buffer): string {
  const list = createReader(createReader(content).vector(2))
  if (list.number(1) !== 0) throw new RangeError('not a host name')
  const name = list.vector(2)
  if (list.left() > 0 || name.length === 0) throw new RangeError('not one server name')
  return name.toString('latin1')
}

function createReader(bytes: Buffer) {
  let offset = 0
  const take = (length: number): Buffer => {
    if (offset + length > bytes.length) throw new RangeError('too short')
    offset += length
    return bytes.subarray(offset - length, offset)
  }
  const number = (width: number): number => take(width).readUIntBE(0, width)
  return {
    left: () => bytes.length - offset,
    skip: (length: number) => void take(length),
    number,
    /** A vector with its length in front, `width` bytes wide. */
    vector: (width: number): Buffer => take(number(width)),
  }
}
