// The event log of a session over HTTP: pages of JSON, and the live streams.
import { z } from 'zod'
import { deltaSchema, eventPageSchema, eventQuerySchema } from '../../protocol/api.ts'
import { AppError } from '../../protocol/errors.ts'
import { joinLimits } from '../../protocol/installation-network.ts'
import {
  networkQuerySchema,
  type SessionNetwork,
  sessionNetworkSchema,
} from '../../protocol/network-log.ts'
import type { SessionState } from '../../protocol/session.ts'
import type { HttpDeps } from '../deps.ts'
import { summarizeWithPlaces } from '../places.ts'
import {
  type Api,
  type ApiContext,
  allowedUser,
  describeRoute,
  ownedSession,
  sessionParams,
} from '../route.ts'
import {
  type StreamTimes,
  streamList,
  streamNetwork,
  streamSession,
} from '../streams/event-stream.ts'

const TIMES: StreamTimes = { heartbeatMs: 15_000, lifeMs: 1_800_000 }
/** A client that takes nothing for so long is cut off. */
const STUCK_MS = 60_000
const MOST_STREAMS_PER_OWNER = 200
const LISTED = 200
const tag = 'Events'

export function addEventRoutes(api: Api, deps: HttpDeps): void {
  const open = createStreamCount()
  const respond = (
    c: ApiContext,
    ownerId: string,
    make: (signal: AbortSignal) => AsyncGenerator<string>,
  ) => {
    const release = open.enter(ownerId)
    return respondWithStream(c, make, release)
  }
  const streamOf = (c: ApiContext, session: SessionState, afterSeq: number) => {
    refuseBehindEnd(session, afterSeq)
    return respond(c, session.ownerId, (signal) =>
      streamSession({
        ...{ sessionId: session.id, afterSeq },
        live: deps.live,
        read: (range) => deps.sessions.readEvents(session.id, range),
        place: async () => (await deps.sessions.places()).get(session.id) ?? null,
        times: TIMES,
        signal,
      }),
    )
  }
  addListStream(api, deps, respond)
  addNetworkLog(api, deps, respond)
  api.openapi(
    describeRoute({
      ...{ method: 'get', path: '/sessions/{id}/events', tag },
      summary: 'A page of its event log; with `Accept: text/event-stream` the live stream',
      ...{ params: sessionParams, query: eventQuerySchema, answer: eventPageSchema },
    }),
    (async (c: ApiContext) => {
      const { id, query } = validated(c)
      const session = await ownedSession(deps, allowedUser(c, 'user'), id)
      if (c.req.header('accept')?.includes('text/event-stream')) {
        return streamOf(c, session, resumeAfter(c, query.after))
      }
      const range = { afterSeq: query.after, limit: query.limit }
      return c.json(await deps.sessions.readEvents(session.id, range))
    }) as never,
  )
  api.openapi(
    describeRoute({
      ...{ method: 'get', path: '/sessions/{id}/events/stream', tag, answer: deltaSchema },
      summary:
        'Its events from `Last-Event-ID` or `after` on, then live; beside them `delta` and `place` without an id',
      ...{ params: sessionParams, query: eventQuerySchema, answerType: 'text/event-stream' },
    }),
    (async (c: ApiContext) => {
      const { id, query } = validated(c)
      const session = await ownedSession(deps, allowedUser(c, 'user'), id)
      return streamOf(c, session, resumeAfter(c, query.after))
    }) as never,
  )
}

/** What such a client knows is of another log than the one that a restored backup has. */
function refuseBehindEnd({ lastSeq }: SessionState, after: number): void {
  if (after <= lastSeq) return
  const message = `the log of this session ends at ${lastSeq}, before ${after}, as after a backup was restored: read it from its start`
  throw new AppError('conflict', 'log_ends_before', message)
}

type Respond = (
  c: ApiContext,
  ownerId: string,
  make: (signal: AbortSignal) => AsyncGenerator<string>,
) => Response

function addListStream(api: Api, { sessions, live }: HttpDeps, respond: Respond): void {
  api.openapi(
    describeRoute({
      ...{ method: 'get', path: '/sessions/stream', tag, answerType: 'text/event-stream' },
      summary: 'The list of sessions, live: `sessions` first, then `session` and `removed`',
      answer: z.object({}),
    }),
    ((c: ApiContext) => {
      const { id: ownerId } = allowedUser(c, 'user')
      const list = async () => {
        const page = await sessions.list(ownerId, { limit: LISTED, includeArchived: false })
        return summarizeWithPlaces(sessions, page.sessions)
      }
      return respond(c, ownerId, (signal) =>
        streamList({ ownerId, live, list, times: TIMES, signal }),
      )
    }) as never,
  )
}

/** A page of it, or the live stream, as with the event log. */
function addNetworkLog(api: Api, deps: HttpDeps, respond: Respond): void {
  const { sessions, site, live } = deps
  const query = networkQuerySchema
  api.openapi(
    describeRoute({
      ...{ method: 'get', path: '/sessions/{id}/network', tag: 'Network' },
      summary:
        'What it may reach, and the hosts that the gateway has seen it ask for; with `Accept: text/event-stream` live',
      ...{ params: sessionParams, query, answer: sessionNetworkSchema },
    }),
    (async (c: ApiContext) => {
      const { id } = c.req.valid('param' as never) as z.output<typeof sessionParams>
      const { after, limit } = c.req.valid('query' as never) as z.output<typeof query>
      const session = await ownedSession(deps, allowedUser(c, 'user'), id)
      const read = (range: { after: number; limit: number }) =>
        sessions.network.read(session.id, range)
      if (c.req.header('accept')?.includes('text/event-stream')) {
        const from = { sessionId: session.id, after: resumeAfter(c, after) }
        return respond(c, session.ownerId, (signal) =>
          streamNetwork({ ...from, live, read, times: TIMES, signal }),
        )
      }
      const { network, traffic, image } = session.environment
      const installation = await site.network.get()
      const answer: SessionNetwork = {
        ...(await read({ after, limit })),
        ...{ network, installation, limits: joinLimits(traffic, installation) },
        usage: await sessions.network.usage(session.id, new Date().toISOString().slice(0, 10)),
        registries: (await site.trusted(image)).registries,
      }
      return c.json(sessionNetworkSchema.parse(answer))
    }) as never,
  )
}

function validated(c: ApiContext) {
  const { id } = c.req.valid('param' as never) as z.output<typeof sessionParams>
  return { id, query: c.req.valid('query' as never) as z.output<typeof eventQuerySchema> }
}

/** `Last-Event-ID` is what a browser adds when it comes again with the address of the first time. */
function resumeAfter(c: ApiContext, after: number): number {
  const last = c.req.header('last-event-id')
  return last !== undefined && /^\d{1,15}$/.test(last) ? Math.max(after, Number(last)) : after
}

function createStreamCount() {
  const counts = new Map<string, number>()
  return {
    enter: (ownerId: string) => {
      const count = counts.get(ownerId) ?? 0
      if (count >= MOST_STREAMS_PER_OWNER) {
        const message = `more than ${MOST_STREAMS_PER_OWNER} streams are open at once`
        throw new AppError('rate_limited', 'too_many_streams', message)
      }
      counts.set(ownerId, count + 1)
      return () => {
        const left = (counts.get(ownerId) ?? 1) - 1
        if (left > 0) counts.set(ownerId, left)
        else counts.delete(ownerId)
      }
    },
  }
}

/** Asks for the next frame only when the client took the last one. */
function respondWithStream(
  c: ApiContext,
  make: (signal: AbortSignal) => AsyncGenerator<string>,
  release: () => void,
): Response {
  const ended = new AbortController()
  const frames = make(ended.signal)
  const encoder = new TextEncoder()
  let stuck: NodeJS.Timeout | undefined
  const end = () => {
    if (ended.signal.aborted) return
    clearTimeout(stuck)
    release()
    ended.abort()
  }
  const body = new ReadableStream<Uint8Array>(
    {
      pull: async (controller) => {
        clearTimeout(stuck)
        try {
          const next = await frames.next()
          if (next.done) {
            end()
            controller.close()
            return
          }
          controller.enqueue(encoder.encode(next.value))
          stuck = setTimeout(() => {
            end()
            c.env?.outgoing?.destroy()
          }, STUCK_MS)
        } catch (error) {
          end()
          controller.error(error)
        }
      },
      cancel: end,
    },
    { highWaterMark: 0 },
  )
  const headers = { 'content-type': 'text/event-stream', 'x-accel-buffering': 'no' }
  return c.body(body, 200, headers)
}
