// Tar archives of plain files (POSIX ustar, sizes over 8 GiB in GNU's form), written and read as streams. Reading is strict:
// whatever is not a plain file, or not whole, is a TarError. Names come out as they stand there: callers check them.

export interface TarFile {
  name: string
  size: number
  content: AsyncIterable<Buffer>
}

export class TarError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'TarError'
  }
}

const BLOCK = 512
const NAME_BYTES = 100
const SIZE_AT = 124
const SIZE_BYTES = 12
const CHECKSUM_AT = 148
const CHECKSUM_BYTES = 8
const TYPE_AT = 156
const LARGEST_OCTAL = 0o77777777777

/** Each content must have exactly the size that its file says. */
export async function* writeTar(
  files: AsyncIterable<TarFile> | Iterable<TarFile>,
  modifiedAt: Date,
): AsyncGenerator<Buffer> {
  for await (const { name, size, content } of files) {
    yield headerOf(name, size, modifiedAt)
    let written = 0
    for await (const chunk of content) {
      written += chunk.length
      yield chunk
    }
    if (written !== size) throw new TarError(`${name} has ${written} bytes instead of ${size}`)
    yield Buffer.alloc(paddingOf(size))
  }
  yield Buffer.alloc(2 * BLOCK)
}

/** The content of each file has to be read to its end before the next file is asked for. */
export async function* readTar(chunks: AsyncIterable<Buffer>): AsyncGenerator<TarFile> {
  const reader = createReader(chunks)
  try {
    for (;;) {
      const header = await reader.exactly(BLOCK)
      if (header.every((byte) => byte === 0)) break
      const { name, size } = parseHeader(header)
      yield { name, size, content: reader.through(size) }
      await reader.exactly(paddingOf(size))
    }
    // To the end, so that whoever unpacks the stream sees its own checksum.
    await reader.drain()
  } finally {
    await reader.close()
  }
}

function headerOf(name: string, size: number, modifiedAt: Date): Buffer {
  const header = Buffer.alloc(BLOCK)
  if (Buffer.byteLength(name) > NAME_BYTES) throw new TarError(`the name ${name} is too long`)
  const octal = (value: number, at: number, bytes: number) =>
    header.write(`${value.toString(8).padStart(bytes - 1, '0')}\0`, at, 'latin1')
  header.write(name)
  octal(0o600, 100, 8)
  octal(0, 108, 8)
  octal(0, 116, 8)
  if (size <= LARGEST_OCTAL) octal(size, SIZE_AT, SIZE_BYTES)
  else {
    header[SIZE_AT] = 0x80
    header.writeBigUInt64BE(BigInt(size), SIZE_AT + SIZE_BYTES - 8)
  }
  octal(Math.floor(modifiedAt.getTime() / 1000), 136, 12)
  header.write('0', TYPE_AT)
  header.write('ustar\x0000', 257, 'latin1')
  header.write(`${checksumOf(header).toString(8).padStart(6, '0')}\0 `, CHECKSUM_AT, 'latin1')
  return header
}

function parseHeader(header: Buffer): { name: string; size: number } {
  const field = (at: number, bytes: number) =>
    header.toString('utf8', at, at + bytes).split('\0', 1)[0] ?? ''
  if (Number.parseInt(field(CHECKSUM_AT, CHECKSUM_BYTES), 8) !== checksumOf(header))
    throw new TarError('a header is damaged')
  const name = field(0, NAME_BYTES)
  if (header[TYPE_AT] !== 0x30) throw new TarError(`${name} is not a plain file`)
  const size =
    header[SIZE_AT] === 0x80
      ? Number(header.readBigUInt64BE(SIZE_AT + SIZE_BYTES - 8))
      : Number.parseInt(field(SIZE_AT, SIZE_BYTES), 8)
  if (!Number.isSafeInteger(size)) throw new TarError(`the size of ${name} is damaged`)
  return { name, size }
}

/** Over the header as if the checksum itself were blanks. */
function checksumOf(header: Buffer): number {
  const before = header.subarray(0, CHECKSUM_AT)
  const after = header.subarray(CHECKSUM_AT + CHECKSUM_BYTES)
  return [...before, ...after].reduce((sum, byte) => sum + byte, CHECKSUM_BYTES * 0x20)
}

function paddingOf(size: number): number {
  return (BLOCK - (size % BLOCK)) % BLOCK
}

function createReader(chunks: AsyncIterable<Buffer>) {
  const source = chunks[Symbol.asyncIterator]()
  let rest: Buffer = Buffer.alloc(0)
  const some = async (most: number): Promise<Buffer> => {
    while (rest.length === 0) {
      const { done, value } = await source.next()
      if (done) throw new TarError('the archive ends too early')
      rest = value
    }
    const taken = rest.subarray(0, most)
    rest = rest.subarray(taken.length)
    return taken
  }
  async function* through(bytes: number): AsyncGenerator<Buffer> {
    for (let left = bytes; left > 0; ) {
      const chunk = await some(left)
      left -= chunk.length
      yield chunk
    }
  }
  return {
    through,
    exactly: async (bytes: number) => {
      const parts: Buffer[] = []
      for await (const part of through(bytes)) parts.push(part)
      return Buffer.concat(parts)
    },
    drain: async () => {
      while (!(await source.next()).done);
    },
    close: async () => {
      await source.return?.()
    },
  }
}
