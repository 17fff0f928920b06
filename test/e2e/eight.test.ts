// Many tasks at once: eight of twelve work, the others wait in the order of their coming and are told their place. Real
// sandboxes and Claude Code; what worked when is taken from the event logs.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createSampleRepository } from '../../demo/repository.ts'
import type { Place } from '../../src/protocol/api.ts'
import { applyEvent, emptyView } from '../../src/protocol/apply-event.ts'
import type { EventType, SessionEvent } from '../../src/protocol/event.ts'
import { eventsOf, type Installation, startInstallation } from './installation.ts'
import { createRepositoryUpload } from './upload.ts'

const [AT_ONCE, TASKS] = [8, 12]
/** Twelve sandboxes on two cores that others use as well. */
const LIMIT_MS = 400_000
let errand: Installation
let folder: string
/** In the order of their coming. */
let ids: string[] = []

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'errand-eight-'))
  await createSampleRepository(join(folder, 'cart'))
  errand = await startInstallation({
    env: { ERRAND_CONCURRENCY: String(AT_ONCE) },
    followLimitMs: LIMIT_MS,
  })
})
afterAll(async () => {
  await errand.stop()
  await rm(folder, { recursive: true, force: true })
})

async function readAll(id: string): Promise<SessionEvent[]> {
  const { events } = await errand.client.readEvents(id, { limit: 1000 })
  return events
}

/** When it began and ended to work; what one commit did has one time. */
function workOf(events: SessionEvent[]): { at: string; change: 1 | -1 }[] {
  let view = emptyView
  let was = false
  return events.flatMap((event, index) => {
    view = applyEvent(view, event)
    const is = view.session?.status === 'working'
    if (is === was || events[index + 1]?.at === event.at) return []
    was = is
    return [{ at: event.at, change: is ? 1 : -1 }]
  })
}

/** The most that worked at one time. */
async function mostAtOnce(): Promise<number> {
  const changes = (await Promise.all(ids.map(readAll))).flatMap(workOf)
  const inOrder = changes.toSorted((a, b) => a.at.localeCompare(b.at) || a.change - b.change)
  let count = 0
  return Math.max(...inOrder.map(({ change }) => (count += change)))
}

async function placesNow(): Promise<Record<string, Place | null>> {
  const { sessions } = await errand.client.listSessions({ limit: 100 })
  return Object.fromEntries(sessions.map(({ id, place }) => [id, place]))
}

/** Resolves when the session's own stream says so. */
async function untilPlace(id: string, wanted: Place): Promise<void> {
  const signal = AbortSignal.timeout(LIMIT_MS)
  for await (const item of errand.client.followEvents(id, { signal }))
    if (item.kind === 'place' && item.place?.number === wanted.number) {
      expect(item.place).toEqual(wanted)
      return
    }
}

/** The last event of a type in each of these sessions. */
async function lastOf(type: EventType, of: string[]): Promise<string[]> {
  const logs = await Promise.all(of.map(readAll))
  return logs.map((events) => events.findLast(({ body }) => body.type === type)?.at ?? '')
}

it(
  'eight of twelve tasks work at once, the others begin in the order of their coming, and all are done',
  async () => {
    const source = await createRepositoryUpload(errand, join(folder, 'cart'))
    const asked = { prompt: 'how does the discount work?', source }
    const made = await Promise.all(
      Array.from({ length: TASKS }, () => errand.client.createSession(asked)),
    )
    const waiting = made.filter(({ status }) => status === 'queued')
    expect(waiting).toHaveLength(TASKS - AT_ONCE)
    const order = waiting
      .toSorted((a, b) => (a.place?.number ?? 0) - (b.place?.number ?? 0))
      .map(({ id }) => id)
    ids = [...made.filter(({ status }) => status === 'working').map(({ id }) => id), ...order]
    const done = await Promise.all(ids.map((id) => errand.finish(id)))
    for (const events of done) {
      expect(eventsOf(events, 'phase.failed')).toEqual([])
      expect(eventsOf(events, 'turn.completed')).toHaveLength(1)
    }
    expect(await mostAtOnce()).toBe(AT_ONCE)
    const begun = await lastOf('turn.started', order)
    expect(begun).toEqual(begun.toSorted())
    expect(Object.values(await placesNow()).filter(Boolean)).toEqual([])
  },
  LIMIT_MS,
)

it(
  'a message to a ready sandbox waits as well, and shows its place until it is its turn',
  async () => {
    const wait = { text: 'tail -f /dev/null', kind: 'command' as const }
    for (const id of ids) await errand.client.sendMessage(id, wait)
    const [first = '', second = '', third = '', fourth = ''] = ids.slice(AT_ONCE)
    expect(await placesNow()).toMatchObject({
      ...{ [ids[0] ?? '']: null, [first]: { number: 1, of: 4 }, [second]: { number: 2, of: 4 } },
      ...{ [third]: { number: 3, of: 4 }, [fourth]: { number: 4, of: 4 } },
    })
    const moved = untilPlace(fourth, { number: 2, of: 2 })
    await errand.client.actOnSession(second, 'stop')
    const stopped = await errand.follow(second, ({ body }) => body.type === 'sandbox.stopped')
    expect(eventsOf(stopped, 'turn.interrupted')).toHaveLength(1)
    expect(await errand.client.getSession(third)).toMatchObject({ place: { number: 2, of: 3 } })
    await errand.client.interruptTurn(ids[0] ?? '')
    await moved
    const after = (await readAll(first)).findLast(({ body }) => body.type === 'session.queued')
    await errand.follow(first, ({ body }) => body.type === 'turn.started', after?.seq)
    for (const id of [...ids.slice(1, AT_ONCE), first, third, fourth]) {
      const { lastSeq } = await errand.client.getSession(id)
      await errand.client.interruptTurn(id)
      await errand.follow(id, ({ body }) => body.type === 'turn.interrupted', lastSeq)
    }
    const [freed = ''] = await lastOf('turn.interrupted', ids.slice(0, 1))
    const [begun = ''] = await lastOf('turn.started', [first])
    expect(begun >= freed).toBe(true)
    expect(await mostAtOnce()).toBe(AT_ONCE)
  },
  LIMIT_MS,
)
