// Live streams as async iterators. They come again by themselves after a break, from the last event on, and end only by
// their signal or by a refusal that waiting does not mend.
import { type EventSourceMessage, EventSourceParserStream } from 'eventsource-parser/stream'
import { z } from 'zod'
import { backoffMs } from '../lib/backoff.ts'
import { delay } from '../lib/deadline.ts'
import {
  type Delta,
  deltaSchema,
  type Place,
  placeSchema,
  type SessionSummary,
  sessionSummarySchema,
} from '../protocol/api.ts'
import { AppError, type ErrorCode } from '../protocol/errors.ts'
import { parseEvent, type SessionEvent } from '../protocol/event.ts'
import { type NetworkEntry, networkEntrySchema } from '../protocol/network-log.ts'
import { addressOf, type ClientOptions, send } from './request.ts'

export interface FollowOptions {
  afterSeq?: number
  signal: AbortSignal
  /** In [0, 1): spreads the waits. */
  random?: () => number
}

export type ConnectionState = 'open' | 'waiting'

export type Followed =
  | { kind: 'event'; event: SessionEvent }
  | { kind: 'delta'; delta: Delta }
  /** In the queue of sessions that wait for a free slot; null: it does not wait. */
  | { kind: 'place'; place: Place | null }
  | { kind: 'connection'; state: ConnectionState }

export type FollowedList =
  | { kind: 'sessions'; sessions: SessionSummary[] }
  | { kind: 'session'; session: SessionSummary }
  | { kind: 'removed'; id: string }
  | { kind: 'connection'; state: ConnectionState }

const RECONNECT = { firstMs: 200, mostMs: 10_000 }
/** The server speaks every 15 s; a stream that is silent for longer is dead. */
const SILENCE_MS = 45_000
/** What may pass by itself, as a full disk does once somebody has made room. */
const PASSING: ReadonlySet<ErrorCode> = new Set([
  'unavailable',
  'no_space',
  'timeout',
  'internal',
  'rate_limited',
])

/** Each event once and in order, whatever happens to the connection. */
export async function* followEvents(
  options: ClientOptions,
  sessionId: string,
  follow: FollowOptions,
): AsyncGenerator<Followed> {
  let afterSeq = follow.afterSeq ?? 0
  const path = `/sessions/${encodeURIComponent(sessionId)}/events/stream`
  const request: StreamRequest = () => ({ path, after: afterSeq })
  for await (const item of followStream(options, request, follow)) {
    const { seq = 0, followed } = parseFollowed(item)
    const isRepeated = followed?.kind === 'event' && seq <= afterSeq
    afterSeq = Math.max(afterSeq, seq)
    if (followed && !isRepeated) yield followed
  }
}

/** `seq` also of an event that this version does not know: it counts as read. */
function parseFollowed(item: StreamItem): { seq?: number; followed?: Followed } {
  if ('state' in item) return { followed: { kind: 'connection', state: item.state } }
  const { event: name, id, data } = item.message
  const value = parseJson(data)
  if (name === 'delta') {
    const delta = deltaSchema.safeParse(value)
    return delta.success ? { followed: { kind: 'delta', delta: delta.data } } : {}
  }
  if (name === 'place') {
    const place = placeSchema.nullable().safeParse(value)
    return place.success ? { followed: { kind: 'place', place: place.data } } : {}
  }
  const seq = Number(id)
  if (!Number.isSafeInteger(seq)) return {}
  const event = parseEvent(value)
  return event ? { seq, followed: { kind: 'event', event } } : { seq }
}

const listSchema = z.object({ sessions: z.array(sessionSummarySchema) })
const removedSchema = z.object({ id: z.string() })

/** The whole list first, and again after each break; between them what changed. */
export async function* followSessions(
  options: ClientOptions,
  follow: Omit<FollowOptions, 'afterSeq'>,
): AsyncGenerator<FollowedList> {
  for await (const item of followStream(
    options,
    () => ({ path: '/sessions/stream', after: 0 }),
    follow,
  )) {
    if ('state' in item) yield { kind: 'connection', state: item.state }
    else {
      const change = parseListChange(item.message)
      if (change) yield change
    }
  }
}

export type FollowedNetwork =
  | { kind: 'entry'; entry: NetworkEntry }
  | { kind: 'connection'; state: ConnectionState }

/** What the gateway sees of a session's traffic; `afterSeq` is the `n` of the last entry that is known. */
export async function* followNetwork(
  options: ClientOptions,
  sessionId: string,
  follow: FollowOptions,
): AsyncGenerator<FollowedNetwork> {
  let after = follow.afterSeq ?? 0
  const path = `/sessions/${encodeURIComponent(sessionId)}/network`
  const request: StreamRequest = () => ({ path, after })
  for await (const item of followStream(options, request, follow)) {
    if ('state' in item) yield { kind: 'connection', state: item.state }
    else {
      const entry = networkEntrySchema.safeParse(parseJson(item.message.data))
      if (!entry.success) continue
      after = Math.max(after, entry.data.n)
      yield { kind: 'entry', entry: entry.data }
    }
  }
}

function parseListChange({ event, data }: EventSourceMessage): FollowedList | undefined {
  const value = parseJson(data)
  switch (event) {
    case 'sessions': {
      const list = listSchema.safeParse(value)
      return list.success ? { kind: 'sessions', ...list.data } : undefined
    }
    case 'session': {
      const session = sessionSummarySchema.safeParse(value)
      return session.success ? { kind: 'session', session: session.data } : undefined
    }
    case 'removed': {
      const removed = removedSchema.safeParse(value)
      return removed.success ? { kind: 'removed', id: removed.data.id } : undefined
    }
    default:
      return undefined
  }
}

type StreamItem = { state: ConnectionState } | { message: EventSourceMessage }
/** `after`: what has been read already; 0: nothing. */
type StreamRequest = () => { path: string; after: number }

async function* followStream(
  options: ClientOptions,
  request: StreamRequest,
  { signal, random = Math.random }: FollowOptions,
): AsyncGenerator<StreamItem> {
  let attempt = 0
  while (!signal.aborted) {
    try {
      for await (const item of readStream(options, request(), signal)) {
        attempt = 0
        yield item
      }
    } catch (error) {
      if (signal.aborted) return
      if (error instanceof AppError && !PASSING.has(error.code)) throw error
    }
    if (signal.aborted) return
    yield { state: 'waiting' }
    // Aborted meanwhile: the loop ends.
    await delay(backoffMs(RECONNECT, attempt, random()), signal).catch(() => undefined)
    attempt += 1
  }
}

async function* readStream(
  options: ClientOptions,
  request: ReturnType<StreamRequest>,
  signal: AbortSignal,
): AsyncGenerator<StreamItem> {
  const silence = createSilenceLimit(signal)
  try {
    const body = await openBody(options, request, silence.signal)
    if (!body) return
    silence.heard()
    yield { state: 'open' }
    const heard = new TransformStream<Uint8Array, Uint8Array>({
      transform: (chunk, controller) => {
        silence.heard()
        controller.enqueue(chunk)
      },
    })
    const messages = body
      .pipeThrough(heard)
      .pipeThrough(new TextDecoderStream() as TransformStream<Uint8Array, string>)
      .pipeThrough(new EventSourceParserStream())
      .getReader()
    for (let next = await messages.read(); !next.done; next = await messages.read()) {
      yield { message: next.value }
    }
  } finally {
    silence.end()
  }
}

async function openBody(
  options: ClientOptions,
  { path, after }: ReturnType<StreamRequest>,
  signal: AbortSignal,
): Promise<ReadableStream<Uint8Array> | null> {
  const query = after > 0 ? { after } : {}
  const opened = await options.openStream?.(addressOf(options, { path, query }), signal)
  if (opened) return opened
  const headers = {
    accept: 'text/event-stream',
    ...(after > 0 ? { 'last-event-id': String(after) } : {}),
  }
  return (await send(options, { path, headers, signal })).body
}

/** Aborts with `parent`, after too long a silence, and when it is ended, which closes the connection. */
function createSilenceLimit(parent: AbortSignal) {
  const controller = new AbortController()
  let timer: ReturnType<typeof setTimeout> | undefined
  const end = () => {
    clearTimeout(timer)
    controller.abort()
  }
  const heard = () => {
    clearTimeout(timer)
    timer = setTimeout(end, SILENCE_MS)
  }
  heard()
  return { signal: AbortSignal.any([parent, controller.signal]), heard, end }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
