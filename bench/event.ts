// From something said in the sandbox to its line at a client's live stream, with one client and with many. A command prints
// the time and ends, so that the runner reports at once; both ends read the same clock.
import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import { createRepositoryUpload } from '../test/e2e/upload.ts'
import type { BenchContext, Benchmark } from './benchmark.ts'
import { createFigure, type Figure } from './figure.ts'
import { type BenchErrand, startErrand, TURN_ENDS, wallMs } from './installation.ts'
import { createHookRepository } from './start-session.ts'

const CLIENTS = [1, 200] as const
/** Seconds with nanoseconds, of the wall clock. */
const SAY_THE_TIME = 'exec date +said-%s.%N'
const SAID = /said-(\d+\.\d+)/g

export const event: Benchmark = {
  name: 'event',
  about: 'event in the sandbox to line at a client, with 1 and 200 clients',
  run: async (context) => {
    const errand = await startErrand(context)
    const sessionId = await startSession(context, errand)
    const figures: Figure[] = []
    for (const clients of CLIENTS) figures.push(await take(context, errand, { sessionId, clients }))
    return figures
  },
}

async function take(
  context: BenchContext,
  errand: BenchErrand,
  { sessionId, clients }: { sessionId: string; clients: number },
): Promise<Figure> {
  const latencies: number[] = []
  const { lastSeq } = await errand.client.getSession(sessionId)
  const streams = await Promise.all(
    Array.from({ length: clients }, () => openStream(errand, sessionId, lastSeq)),
  )
  const ends = streams.map((stream) => listen(stream, (ms) => latencies.push(ms)))
  // The percentile of one client needs more than its 20 events.
  const runs = clients === 1 ? 5 * context.runs : context.runs
  for (let run = 0; run < runs; run++) {
    if (run % 10 === 0) context.say(`${clients} at once: event ${run + 1} of ${runs}`)
    const ended = Promise.all(ends.map((nextEnd) => nextEnd()))
    await errand.client.sendMessage(sessionId, { kind: 'command', text: SAY_THE_TIME })
    await ended
  }
  for (const stream of streams) stream.destroy()
  if (latencies.length !== runs * clients)
    throw new Error(`${latencies.length} lines came instead of ${runs * clients}`)
  const name = `event-${clients}`
  const note = `${clients} client${clients === 1 ? '' : 's'}, ${latencies.length} lines`
  return createFigure({ name, unit: 'ms', ours: latencies, benchmark: 'event', runs, note })
}

async function startSession(context: BenchContext, errand: BenchErrand): Promise<string> {
  context.say('starting a session')
  const source = await createRepositoryUpload(errand, await createHookRepository(context))
  const { id } = await errand.client.createSession({ prompt: 'true', kind: 'command', source })
  await errand.follow(id, TURN_ENDS)
  return id
}

/** As plain as can be, so that what is measured is not the client. */
async function openStream(
  { url, token }: BenchErrand,
  sessionId: string,
  afterSeq: number,
): Promise<IncomingMessage> {
  const request = get(`${url}/api/v1/sessions/${sessionId}/events/stream`, {
    agent: false,
    headers: { authorization: `Bearer ${token}`, 'last-event-id': String(afterSeq) },
  })
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  if (response.statusCode !== 200) throw new Error(`the stream answers ${response.statusCode}`)
  return response
}

/** Reports each time that comes; what it gives back resolves at the next end of a turn. */
function listen(stream: IncomingMessage, took: (ms: number) => void): () => Promise<void> {
  let held = ''
  let end = Promise.withResolvers<void>()
  stream.setEncoding('utf8')
  stream.on('error', () => undefined)
  stream.on('data', (text: string) => {
    const now = wallMs()
    held += text
    const whole = held.slice(0, held.lastIndexOf('\n') + 1)
    held = held.slice(whole.length)
    for (const [, seconds] of whole.matchAll(SAID)) took(now - Number(seconds) * 1000)
    if (!whole.includes('"turn.completed"')) return
    end.resolve()
    end = Promise.withResolvers<void>()
  })
  return () => end.promise
}
