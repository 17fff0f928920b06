// A forge that is down, does not answer, or says no: the commits are kept here, everybody sees why and when they are sent
// again, by hand at once; and nothing else of the session waits for it. Counted at the far end, a real git http-backend.
import type { Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { SessionState } from '../../src/protocol/session.ts'
import { runCommand } from './command.ts'
import { eventsOf, type Installation, startInstallation } from './installation.ts'
import { createIsland, type Island } from './island.ts'
import { findTraces, NO_TRACES } from './traces.ts'
import { createPrivateUpstream, GIT_HOST, type PrivateUpstream } from './upstream.ts'

const STOP_LIMIT_MS = 10_000

let island: Island
let upstream: PrivateUpstream
let errand: Installation

beforeAll(async () => {
  island = await createIsland({ hosts: { [GIT_HOST]: 'outside' } })
  upstream = await createPrivateUpstream(island.outside)
  errand = await startInstallation({
    island,
    env: {
      ERRAND_ALLOWED_NETWORKS: `${GIT_HOST}=${island.network}`,
      ERRAND_LOG_LEVEL: 'fatal',
    },
  })
})
afterAll(async () => {
  await errand?.stop()
  await upstream?.remove()
  await island?.remove()
})

/** A session whose turn is over, with a sandbox that is ready. */
async function begin(): Promise<string> {
  const { id } = await errand.client.createSession({
    ...{ prompt: 'true', kind: 'command' },
    source: { kind: 'remote', url: upstream.urlWithCredential },
  })
  await errand.finish(id)
  return id
}

/** Resolves with the events since then once git has taken the push and the turn is over. */
async function commitAndPush(id: string, name: string) {
  const { lastSeq } = await errand.client.getSession(id)
  const text = `echo ${name} > ${name}; git add .; git commit --quiet -m ${name}; git push --quiet 2>&1`
  await errand.client.sendMessage(id, { text, kind: 'command' })
  let seen = 0
  return errand.follow(
    id,
    ({ body }) => {
      if (body.type === 'push.accepted' || body.type === 'turn.completed') seen++
      return seen === 2
    },
    lastSeq,
  )
}

async function until(id: string, fits: (state: SessionState) => boolean): Promise<SessionState> {
  const first = await errand.client.getSession(id)
  if (fits(first)) return first
  let state = first
  await errand.follow(id, ({ seq }) => seq > first.lastSeq, first.lastSeq)
  state = await errand.client.getSession(id)
  return fits(state) ? state : until(id, fits)
}

/** The subjects of what the session has added, as the upstream has them, the newest first. */
async function subjectsOutside(id: string): Promise<string[]> {
  const { branch } = (await errand.client.getSession(id)).repository
  const refs = await upstream.refs()
  if (!refs[`refs/heads/${branch}`]) return []
  return (await upstream.git('log', '--format=%s', branch, '^main')).split('\n')
}

const isOutside = ({ outward }: SessionState) => outward.state === 'forwarded'

describe('an upstream that is down', () => {
  it('keeps the commits here, shows why and the next try, and gets them once when it is back', async () => {
    const id = await begin()
    upstream.close()
    const events = [...(await commitAndPush(id, 'one')), ...(await commitAndPush(id, 'two'))]
    expect(eventsOf(events, 'push.accepted')).toMatchObject([
      { outward: 'kept' },
      { outward: 'kept' },
    ])
    const kept = await until(id, ({ outward }) => outward.nextAt !== null)
    expect(kept.outward).toMatchObject({ state: 'kept', message: expect.stringContaining('reach') })
    const env = { ERRAND_URL: errand.url, ERRAND_TOKEN: errand.token }
    const shown = await runCommand(['show', id], { env })
    expect(shown.stdout).toMatch(/outside +kept here, not outside yet: .*reach/)
    expect(shown.stdout).toMatch(/next try at \d\d:\d\d:\d\d UTC/)

    await upstream.reopen()
    const pushed = await runCommand(['push', id, '--json'], { env })
    // On a busy machine the next try by itself may have come before.
    if (pushed.exitCode !== 0)
      expect(JSON.parse(pushed.stdout).error).toMatchObject({ reason: 'nothing_kept' })
    await until(id, isOutside)
    expect(await subjectsOutside(id)).toEqual(['two', 'one'])
    const again = await runCommand(['push', id, '--json'], { env })
    expect(JSON.parse(again.stdout).error).toMatchObject({ reason: 'nothing_kept' })
  })
})

describe('an upstream that does not answer', () => {
  it('holds up neither what is measured, nor a stop, nor the removal', async () => {
    const id = await begin()
    const waiting: Socket[] = []
    upstream.answer = (incoming) => {
      incoming.resume()
      waiting.push(incoming.socket)
    }
    const isOnItsWay = () => waiting.some((socket) => !socket.destroyed)
    const events = await commitAndPush(id, 'slow')
    expect(eventsOf(events, 'push.accepted')).toMatchObject([{ outward: 'kept' }])
    // The first was the agent's own push; the next is sent beside everything else.
    const isBeside = () => waiting.length > 1 && isOnItsWay()
    await expect.poll(isBeside, { timeout: 30_000 }).toBe(true)
    await until(id, ({ changes }) => changes?.filesChanged === 1)

    const { lastSeq } = await errand.client.getSession(id)
    await errand.client.sendMessage(id, { text: 'sleep 600', kind: 'command' })
    await errand.follow(id, ({ body }) => body.type === 'turn.started', lastSeq)
    await errand.client.actOnSession(id, 'stop')
    const stopping = await errand.follow(id, ({ body }) => body.type === 'sandbox.stopped', lastSeq)
    const at = (type: string) =>
      Date.parse(stopping.findLast(({ body }) => body.type === type)?.at ?? '')
    expect(at('sandbox.stopped') - at('turn.interrupted')).toBeLessThanOrEqual(STOP_LIMIT_MS)
    expect((await errand.client.getSession(id)).outward.state).toBe('kept')
    expect(isOnItsWay()).toBe(true)

    upstream.answer = upstream.serve
    await errand.client.actOnSession(id, 'push')
    await until(id, isOutside)
    expect(await subjectsOutside(id)).toEqual(['slow'])
  })

  it('is let go of when the session is removed', async () => {
    const id = await begin()
    upstream.answer = (incoming) => {
      incoming.resume()
    }
    await commitAndPush(id, 'given-up')
    await errand.client.removeSession(id)
    await expect.poll(() => findTraces(errand, id), { timeout: 30_000 }).toEqual(NO_TRACES)
    upstream.answer = upstream.serve
  })
})

describe('an upstream that says no', () => {
  it('is not asked again by itself; by hand, it takes everything once', async () => {
    const id = await begin()
    upstream.close()
    await commitAndPush(id, 'unwanted')
    await upstream.refusePushes('no pushes on Sundays')
    await upstream.reopen()
    await errand.client.actOnSession(id, 'push')
    const refused = await until(id, ({ outward }) => outward.state === 'refused')
    expect(refused.outward).toMatchObject({ nextAt: null })
    expect(refused.outward.message).toContain('no pushes on Sundays')
    expect(await subjectsOutside(id)).toEqual([])

    await upstream.allowPushes()
    await errand.client.actOnSession(id, 'push')
    await until(id, isOutside)
    expect(await subjectsOutside(id)).toEqual(['unwanted'])
    const { events } = await errand.client.readEvents(id, { limit: 1000 })
    expect(eventsOf(events, 'push.forwarded')).toHaveLength(1)
  })
})
