import { describe, expect, it } from 'vitest'
import type { Delta, EventPage, Place } from '../../protocol/api.ts'
import type { SessionEvent } from '../../protocol/event.ts'
import type { SessionListener } from '../deps.ts'
import { streamSession } from './event-stream.ts'

const sessionId = `s_${'a'.repeat(20)}`
const turnId = `t_${'a'.repeat(20)}`

function createLog(length: number) {
  const log: SessionEvent[] = []
  const append = (count: number) => {
    for (let i = 0; i < count; i++) {
      const body = { type: 'turn.started' as const, turnId }
      log.push({ sessionId, seq: log.length + 1, at: '', source: 'system', body })
    }
  }
  append(length)
  const reads: number[] = []
  let listener: SessionListener | undefined
  const ended = new AbortController()
  const place: { now: Place | null } = { now: null }
  const frames = streamSession({
    ...{ sessionId, afterSeq: 0, signal: ended.signal, times: { heartbeatMs: 20, lifeMs: 60_000 } },
    live: {
      watchSession: (_id, added) => {
        listener = added
        return () => {
          listener = undefined
        }
      },
    },
    place: async () => place.now,
    read: async ({ afterSeq, limit }): Promise<EventPage> => {
      reads.push(afterSeq)
      const events = log.slice(afterSeq, afterSeq + limit)
      return { events, through: afterSeq + events.length, more: log.length > afterSeq + limit }
    },
  })
  return { append, reads, frames, ended, place, listener: () => listener }
}
const next = async (frames: AsyncGenerator<string>) => (await frames.next()).value as string

describe('streamSession', () => {
  it('reads no further than the client has taken', async () => {
    const { frames, reads } = createLog(1000)
    for (let i = 0; i < 201; i++) await next(frames)
    expect(reads).toEqual([0])
    expect(await next(frames)).toMatch(/^id: 201\n/)
    expect(reads).toEqual([0, 200])
  })

  it('sees what is committed between the read and the wait', async () => {
    const { frames, append, listener } = createLog(1)
    await next(frames)
    expect(await next(frames)).toMatch(/^id: 1\n/)
    append(1)
    listener()?.changed()
    expect(await next(frames)).toMatch(/^id: 2\n/)
  })

  it('says the place in the queue first and whenever it is another, without an id', async () => {
    const { frames, place, listener } = createLog(1)
    place.now = { number: 2, of: 3 }
    await next(frames)
    expect(await next(frames)).toMatch(/^id: 1\n/)
    expect(await next(frames)).toBe('event: place\ndata: {"number":2,"of":3}\n\n')
    listener()?.placed({ number: 1, of: 3 })
    expect(await next(frames)).toBe('event: place\ndata: {"number":1,"of":3}\n\n')
    listener()?.placed(null)
    expect(await next(frames)).toBe('event: place\ndata: null\n\n')
  })

  it('drops live text that a slow client does not take', async () => {
    const { frames, listener, append } = createLog(1)
    await next(frames)
    await next(frames)
    const delta: Delta = { turnId, text: 'x'.repeat(1000) }
    for (let i = 0; i < 10_000; i++) listener()?.delta(delta)
    append(1)
    listener()?.changed()
    let taken = 0
    for (
      let frame = await next(frames);
      frame.startsWith('event: delta');
      frame = await next(frames)
    )
      taken += frame.length
    expect(taken).toBeLessThan(100_000)
    expect(await next(frames)).toMatch(/^id: 2\n|^event: delta/)
  })

  it('beats while nothing happens, and ends and unsubscribes with its client', async () => {
    const { frames, ended, listener } = createLog(0)
    await next(frames)
    expect(await next(frames)).toBe(': still here\n\n')
    const last = frames.next()
    ended.abort()
    expect((await last).done).toBe(true)
    expect(listener()).toBeUndefined()
  })
})
