// Writes the body of a git request to git, unpacked and in constant memory. git may stop reading at any time with its reason
// on stdout; the request is then left alone, so that the client still gets the answer.
import type { IncomingMessage } from 'node:http'
import { Readable, type Writable } from 'node:stream'
import { promisify } from 'node:util'
import { createGunzip, gunzip as gunzipWhole } from 'node:zlib'
import { AppError } from '../../protocol/errors.ts'

const gunzip = promisify(gunzipWhole)

/** gzip packs the lists of a fetch no better than this. */
const MOST_UNPACKED = 64

export interface Feed {
  /** Most bytes after unpacking. */
  maxBytes: number
  /** What `readSmallBody` has read of it, unpacked. */
  body?: Buffer
  /** Is called with each piece. */
  onMove: () => void
}

/** Resolves at the end of the body or when git has stopped reading; rejects when the body is cut, broken or too large. */
export function feedBody(incoming: IncomingMessage, stdin: Writable, feed: Feed): Promise<void> {
  const body = feed.body ? Readable.from([feed.body]) : unpack(incoming)
  return new Promise((resolve, reject) => {
    let size = 0
    const stop = () => {
      body.off('data', onData)
      incoming.unpipe()
      incoming.resume()
    }
    const fail = (error: unknown) => {
      stop()
      reject(error)
    }
    const onData = (chunk: Buffer) => {
      size += chunk.length
      feed.onMove()
      if (size > feed.maxBytes)
        fail(new AppError('too_large', 'git_body_too_large', 'The request is too large.'))
      else if (!stdin.write(chunk)) body.pause()
    }
    body.on('data', onData)
    body.on('end', () => {
      stdin.end()
      resolve()
    })
    body.on('error', (error) => fail(body === incoming ? error : broken(error)))
    incoming.on('error', fail)
    incoming.on('close', () => {
      if (!incoming.complete) fail(new Error('the request was given up'))
    })
    stdin.on('drain', () => body.resume())
    // EPIPE: it has read enough.
    stdin.on('error', () => undefined)
    stdin.on('close', () => {
      stop()
      resolve()
    })
  })
}

function broken(cause: unknown): AppError {
  const message = 'The body of the request cannot be unpacked.'
  return new AppError('invalid', 'git_body_broken', message, { cause })
}

/** The whole body, unpacked, when it says that it is small; undefined, and nothing is read, when it does not. */
export async function readSmallBody(
  incoming: IncomingMessage,
  mostBytes: number,
): Promise<Buffer | undefined> {
  const length = Number(incoming.headers['content-length'] ?? Number.NaN)
  if (!(length <= mostBytes)) return undefined
  const chunks: Buffer[] = []
  for await (const chunk of incoming as AsyncIterable<Buffer>) chunks.push(chunk)
  const body = Buffer.concat(chunks)
  if (!isPacked(incoming)) return body
  try {
    return await gunzip(body, { maxOutputLength: mostBytes * MOST_UNPACKED })
  } catch (error) {
    throw broken(error)
  }
}

function unpack(incoming: IncomingMessage): Readable {
  return isPacked(incoming) ? incoming.pipe(createGunzip()) : incoming
}

function isPacked(incoming: IncomingMessage): boolean {
  const encoding = incoming.headers['content-encoding'] ?? 'identity'
  if (encoding === 'identity') return false
  if (encoding === 'gzip' || encoding === 'x-gzip') return true
  throw new AppError(
    'unsupported',
    'content_encoding_unsupported',
    `The body of a git request may be gzip, not ${encoding}.`,
  )
}

/** A body of JSON, of at most so many bytes. */
export async function readJsonBody(incoming: IncomingMessage, mostBytes: number): Promise<unknown> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > mostBytes)
      throw new AppError('too_large', 'body_too_large', 'The request is too large.')
    chunks.push(chunk)
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'))
  } catch (cause) {
    throw new AppError('invalid', 'body_invalid', 'The request is not JSON.', { cause })
  }
}
