import { describe, expect, it } from 'vitest'
import type { SessionEvent } from '../protocol/event.ts'
import { createClient } from './client.ts'
import type { Followed } from './follow.ts'

const sessionId = `s_${'a'.repeat(20)}`
const turnId = `t_${'a'.repeat(20)}`

function eventAt(seq: number): SessionEvent {
  const body = { type: 'turn.started' as const, turnId }
  return { sessionId, seq, at: '2026-01-01T00:00:00.000Z', source: 'system', body }
}
const frame = (seq: number) => `id: ${seq}\ndata: ${JSON.stringify(eventAt(seq))}\n\n`

/** Answers each request with the next of `answers` and notes what was asked. */
function createServer(answers: (Response | Error)[]) {
  const asked: { url: string; headers: Headers; method: string | undefined }[] = []
  const answer: typeof fetch = async (url, init) => {
    asked.push({ url: String(url), headers: new Headers(init?.headers), method: init?.method })
    const next = answers.shift()
    if (next === undefined) return new Promise<never>(() => undefined)
    if (next instanceof Error) throw next
    return next
  }
  return { asked, client: createClient({ baseUrl: 'http://errand', token: 'tok', fetch: answer }) }
}
const stream = (text: string) =>
  new Response(text, { headers: { 'content-type': 'text/event-stream' } })
const refusal = (status: number, code: string, reason: string) =>
  Response.json({ error: { code, reason, message: 'no' } }, { status })

async function take(items: AsyncGenerator<Followed>, isEnough: (all: Followed[]) => boolean) {
  const all: Followed[] = []
  for await (const item of items) {
    all.push(item)
    if (isEnough(all)) break
  }
  return all
}
const seqs = (all: Followed[]) =>
  all.flatMap((item) => (item.kind === 'event' ? item.event.seq : []))

describe('followEvents', () => {
  it('comes again after a break from the last event on, each event once', async () => {
    const { asked, client } = createServer([
      stream(`retry: 1000\n\n${frame(1)}: beat\n\n${frame(2)}`),
      new TypeError('connection refused'),
      refusal(503, 'unavailable', 'starting'),
      stream(
        `${frame(2)}${frame(3)}event: delta\ndata: ${JSON.stringify({ turnId, text: 'hi' })}\n\n`,
      ),
    ])
    const { signal } = new AbortController()
    const followed = client.followEvents(sessionId, { signal, random: () => 0 })
    const all = await take(followed, (items) => items.at(-1)?.kind === 'delta')
    expect(seqs(all)).toEqual([1, 2, 3])
    expect(all.filter((item) => item.kind === 'connection').map(({ state }) => state)).toEqual([
      ...['open', 'waiting', 'waiting', 'waiting', 'open'],
    ])
    expect(asked.map(({ headers }) => headers.get('last-event-id'))).toEqual([null, '2', '2', '2'])
    expect(asked[0]?.headers.get('authorization')).toBe('Bearer tok')
  })

  it('takes the other way to a stream, and an ordinary request where it does not open', async () => {
    const asked: string[] = []
    const bodies = [stream(frame(1)).body, null]
    const openStream = async (address: string) => {
      asked.push(address)
      return bodies.shift() ?? null
    }
    const fetched: (string | null)[] = []
    const answer: typeof fetch = async (_, init) => {
      fetched.push(new Headers(init?.headers).get('last-event-id'))
      return stream(frame(2))
    }
    const client = createClient({ baseUrl: '', fetch: answer, openStream })
    const { signal } = new AbortController()
    const followed = client.followEvents(sessionId, { signal, random: () => 0 })
    expect(seqs(await take(followed, (items) => seqs(items).includes(2)))).toEqual([1, 2])
    const path = `/api/v1/sessions/${sessionId}/events/stream`
    expect(asked).toEqual([path, `${path}?after=1`])
    expect(fetched).toEqual(['1'])
  })

  it('waits for room where the disk of the server is full', async () => {
    const { client } = createServer([
      stream(frame(1)),
      refusal(507, 'no_space', 'database_disk_full'),
      stream(frame(2)),
    ])
    const { signal } = new AbortController()
    const followed = client.followEvents(sessionId, { signal, random: () => 0 })
    expect(seqs(await take(followed, (items) => seqs(items).includes(2)))).toEqual([1, 2])
  })

  it('steps over types that it does not know and still resumes behind them', async () => {
    const unknown = `id: 2\ndata: ${JSON.stringify({ ...eventAt(2), body: { type: 'later.invention' } })}\n\n`
    const { asked, client } = createServer([stream(frame(1) + unknown), stream(frame(3))])
    const { signal } = new AbortController()
    const followed = client.followEvents(sessionId, { signal, random: () => 0 })
    expect(seqs(await take(followed, (items) => seqs(items).includes(3)))).toEqual([1, 3])
    expect(asked[1]?.headers.get('last-event-id')).toBe('2')
  })

  it('passes on places in the queue, which have no number', async () => {
    const place = { number: 2, of: 3 }
    const frames = [place, { number: 'x' }, null].map(
      (value) => `event: place\ndata: ${JSON.stringify(value)}\n\n`,
    )
    const { client } = createServer([stream(frame(1) + frames.join('') + frame(2))])
    const { signal } = new AbortController()
    const all = await take(client.followEvents(sessionId, { signal }), (items) =>
      seqs(items).includes(2),
    )
    expect(all.filter(({ kind }) => kind === 'place')).toEqual([
      { kind: 'place', place },
      { kind: 'place', place: null },
    ])
  })

  it('ends with the refusal when waiting does not mend it', async () => {
    const { client } = createServer([refusal(404, 'not_found', 'session_not_found')])
    const { signal } = new AbortController()
    await expect(client.followEvents(sessionId, { signal }).next()).rejects.toMatchObject({
      ...{ code: 'not_found', reason: 'session_not_found' },
    })
  })

  it('ends quietly with its signal, also while it waits', async () => {
    const { client } = createServer([new TypeError('refused')])
    const controller = new AbortController()
    const all: Followed[] = []
    for await (const item of client.followEvents(sessionId, { signal: controller.signal })) {
      all.push(item)
      controller.abort()
    }
    expect(all).toEqual([{ kind: 'connection', state: 'waiting' }])
  })
})

describe('requests', () => {
  it('throw what the server says', async () => {
    const { client } = createServer([refusal(409, 'conflict', 'ambiguous_id')])
    await expect(client.getSession('s_a')).rejects.toMatchObject({
      code: 'conflict',
      reason: 'ambiguous_id',
    })
  })

  it('say when there is no server, and when the answer is not of this version', async () => {
    const { client } = createServer([
      new TypeError('refused'),
      Response.json({ id: 1 }),
      new Response('<html>', { status: 502 }),
      new Response('<html>'),
    ])
    await expect(client.getMe()).rejects.toMatchObject({
      code: 'unavailable',
      reason: 'errand_unreachable',
    })
    await expect(client.getMe()).rejects.toMatchObject({ reason: 'answer_unreadable' })
    await expect(client.getMe()).rejects.toMatchObject({
      code: 'unavailable',
      reason: 'answer_unreadable',
    })
    await expect(client.getMe()).rejects.toMatchObject({ reason: 'answer_unreadable' })
  })

  it('go to the address of their route', async () => {
    const { asked, client } = createServer([Response.json({ sessions: [], next: null })])
    await client.listSessions({ limit: 5, archived: true })
    expect(asked[0]).toMatchObject({
      method: 'GET',
      url: 'http://errand/api/v1/sessions?limit=5&archived=true',
    })
  })

  it('say when no answer comes, whether one is read or not', async () => {
    const silent: typeof fetch = (_url, init) =>
      new Promise((_resolve, reject) => {
        init?.signal?.addEventListener('abort', () => reject(init.signal?.reason))
      })
    const client = createClient({ baseUrl: 'http://errand', fetch: silent, limitMs: 20 })
    const late = { code: 'timeout', reason: 'no_answer' }
    await expect(client.getSession(sessionId)).rejects.toMatchObject(late)
    await expect(client.removeSession(sessionId)).rejects.toMatchObject(late)
  })
})
