// The event log of a session as a stream and as pages, and the stream of an owner's list.
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { sessionPageSchema } from '../../protocol/api.ts'
import {
  type Caller,
  call,
  errorOf,
  type OwnersApp,
  openOwnersApp,
  signIn,
  type TestApp,
} from '../app.fixture.ts'
import { createHttpApp } from '../app.ts'
import { listenHttp } from '../listen.ts'

let site: OwnersApp
let test: TestApp
let owner: Caller

beforeAll(async () => {
  site = await openOwnersApp()
  ;({ test, owner } = site)
})
afterAll(() => site.close())

const newSession = () => site.newSession()

/** Collects whole frames of a stream until `isEnough`. */
async function readFrames(
  response: Response,
  isEnough: (frames: string[]) => boolean,
): Promise<string[]> {
  const reader = response.body?.getReader()
  const decoder = new TextDecoder()
  let text = ''
  let frames: string[] = []
  while (!isEnough(frames)) {
    const next = await reader?.read()
    if (!next || next.done) break
    text += decoder.decode(next.value, { stream: true })
    frames = text.split('\n\n').slice(0, -1)
  }
  await reader?.cancel()
  return frames
}
const idsOf = (frames: string[]) =>
  frames.flatMap((frame) => /^id: (\d+)/m.exec(frame)?.[1] ?? []).map(Number)

describe('the event stream', () => {
  it('goes from replay to live without a gap or a double', async () => {
    const { id } = await newSession()
    for (let i = 0; i < 450; i++) test.sessions.append(id, `old ${i}`)
    const response = await call(test, `/api/v1/sessions/${id}/events/stream?after=10`, {
      as: owner,
    })
    expect(response.headers.get('content-type')).toBe('text/event-stream')
    const adding = (async () => {
      for (let i = 0; i < 550; i++) {
        test.notify(id, test.sessions.append(id, `new ${i}`).seq)
        if (i % 50 === 0) await new Promise(setImmediate)
      }
    })()
    const frames = await readFrames(response, (all) =>
      all.some((frame) => frame.startsWith('id: 1000\n')),
    )
    await adding
    expect(idsOf(frames)).toEqual(Array.from({ length: 990 }, (_, index) => index + 11))
  })

  it('resumes after Last-Event-ID and shows live text without an id', async () => {
    const { id } = await newSession()
    for (let i = 0; i < 5; i++) test.sessions.append(id, `${i}`)
    const headers = { accept: 'text/event-stream', 'last-event-id': '3' }
    const response = await call(test, `/api/v1/sessions/${id}/events`, { as: owner, headers })
    const turnId = `t_${'a'.repeat(20)}`
    const frames = readFrames(response, (all) => all.some((frame) => frame.includes('delta')))
    await new Promise(setImmediate)
    test.publishDelta(id, { turnId, text: 'typing' })
    expect(idsOf(await frames)).toEqual([4, 5])
    expect((await frames).at(-1)).toBe(
      `event: delta\ndata: ${JSON.stringify({ turnId, text: 'typing' })}`,
    )
  })

  it('refuses to go on after the end of the log, which is that of a restored backup then', async () => {
    const { id } = await newSession()
    const end = test.sessions.append(id, 'the last').seq
    const path = `/api/v1/sessions/${id}/events/stream?after=`
    const refused = await call(test, `${path}${end + 1}`, { as: owner })
    expect(refused.status).toBe(409)
    expect(await errorOf(refused)).toMatchObject({ reason: 'log_ends_before' })
    const taken = await call(test, `${path}${end}`, { as: owner })
    expect(taken.status).toBe(200)
    await taken.body?.cancel()
  })

  it('shows places in the queue where sessions are shown, and live when they change', async () => {
    const [first, second] = [await newSession(), await newSession()]
    for (const { id } of [first, second]) {
      const state = test.sessions.states.get(id)
      if (state) test.sessions.states.set(id, { ...state, status: 'queued' })
      test.sessions.line.push(id)
    }
    const path = `/api/v1/sessions/${second.id}`
    const shown = await (await call(test, path, { as: owner })).json()
    expect(shown).toMatchObject({ status: 'queued', place: { number: 2, of: 2 } })
    const answer = await call(test, '/api/v1/sessions', { as: owner })
    const list = sessionPageSchema.parse(await answer.json())
    expect(list.sessions.map(({ place }) => place)).toEqual(
      expect.arrayContaining([null, { number: 1, of: 2 }, { number: 2, of: 2 }]),
    )
    const one = { number: 1, of: 1 }
    const has = (all: string[]) => all.some((frame) => frame.includes(JSON.stringify(one)))
    const live = readFrames(await call(test, `${path}/events/stream`, { as: owner }), has)
    const listed = readFrames(await call(test, '/api/v1/sessions/stream', { as: owner }), has)
    await new Promise(setImmediate)
    test.sessions.line.splice(test.sessions.line.indexOf(first.id), 1)
    test.notifyLoad()
    expect((await live).at(-1)).toBe(`event: place\ndata: ${JSON.stringify(one)}`)
    expect((await listed).at(-1)).toContain(second.id)
    test.sessions.line.length = 0
  })

  it('ends when the session is removed', async () => {
    const { id } = await newSession()
    const response = await call(test, `/api/v1/sessions/${id}/events/stream`, { as: owner })
    const text = response.text()
    test.notify(id, 0)
    expect(await text).toContain('retry')
  })

  it('answers with pages of JSON otherwise', async () => {
    const { id } = await newSession()
    for (let i = 0; i < 5; i++) test.sessions.append(id, `${i}`)
    const response = await call(test, `/api/v1/sessions/${id}/events?after=1&limit=2`, {
      as: owner,
    })
    expect(await response.json()).toMatchObject({
      events: [{ seq: 2 }, { seq: 3 }],
      through: 3,
      more: true,
    })
  })

  it('tells an owner of changes in the list, and nobody else', async () => {
    const { accounts } = test.deps
    const other = await signIn(
      test,
      await accounts.addUser({ name: 'List', email: 'list@example.com', role: 'member' }),
    )
    const { id } = await newSession()
    const mine = await call(test, '/api/v1/sessions/stream', { as: owner })
    const theirs = await call(test, '/api/v1/sessions/stream', { as: other })
    const framesOfOther = readFrames(theirs, (all) => all.length >= 3)
    const frames = readFrames(mine, (all) => {
      if (all.some((frame) => frame.startsWith('event: session\n'))) test.notify(id, 0)
      return all.some((frame) => frame.startsWith('event: removed'))
    })
    await new Promise(setImmediate)
    test.notify(id, 2)
    const seen = await frames
    expect(seen[1]).toMatch(/^event: sessions\n/)
    expect(seen.some((frame) => frame.startsWith('event: session\n') && frame.includes(id))).toBe(
      true,
    )
    await test.deps.sessions.create(other.user, {
      ...{
        prompt: 'theirs',
        source: { kind: 'remote', url: 'https://example.com/r' },
        kind: 'agent',
      },
      ...{ mode: 'work', model: null, baseBranch: null, additional: [] },
    })
    const own = [...test.sessions.states.values()].find(({ ownerId }) => ownerId === other.user.id)
    test.notify(own?.id ?? '', 1)
    expect((await framesOfOther).join()).not.toContain(id)
  })
  it('lets go of a stream when its client is gone', async () => {
    const { id } = await newSession()
    const gone = Promise.withResolvers<void>()
    const watchSession: typeof test.deps.live.watchSession = (watched, listener) => {
      const unwatch = test.deps.live.watchSession(watched, listener)
      return () => {
        unwatch()
        gone.resolve()
      }
    }
    const live = { ...test.deps.live, watchSession }
    const listening = await listenHttp(createHttpApp({ ...test.deps, live }), {
      ...{ host: '127.0.0.1', port: 0 },
    })
    const socket = connect(listening.port, '127.0.0.1')
    const head = `host: 127.0.0.1:8420\r\nauthorization: Bearer ${owner.bearer}\r\n`
    socket.write(`GET /api/v1/sessions/${id}/events/stream HTTP/1.1\r\n${head}\r\n`)
    await new Promise((resolve) => socket.once('data', resolve))
    socket.destroy()
    await gone.promise
    await listening.close()
  })
})
