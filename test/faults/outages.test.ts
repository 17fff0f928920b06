// What is cut, limited, hung or frozen for a while, in a whole installation: it is waited for or gone around, and nothing is
// lost or doubled by it.
import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createSampleRepository } from '../../demo/repository.ts'
import { createClient } from '../../src/client/client.ts'
import { runChecked } from '../../src/lib/process.ts'
import type { SessionEvent } from '../../src/protocol/event.ts'
import { createId } from '../../src/protocol/ids.ts'
import { startCommand } from '../e2e/command.ts'
import { eventsOf, type Installation, startInstallation } from '../e2e/installation.ts'
import { runInside } from '../e2e/transcript.ts'
import { startCuttingProxy } from './cutting-proxy.ts'
import { childrenOf, findProgram, type ProgramName } from './processes.ts'

const CUT_AFTER_MS = 700
const FROZEN_MS = 2_000

let errand: Installation
let folder: string
let repository: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'errand-outages-'))
  repository = join(folder, 'cart')
  await createSampleRepository(repository)
  errand = await startInstallation({ paceMs: 10, env: { ERRAND_LOG_LEVEL: 'fatal' } })
})
afterAll(async () => {
  await errand?.stop()
  await rm(folder, { recursive: true, force: true })
})

const endsTurn = ({ body }: SessionEvent) =>
  /^turn\.(completed|failed|interrupted)$|^session\.failed$/.test(body.type)

describe('a proxy that cuts every stream after a while', () => {
  it('costs no event and doubles none, for a client, a list and the command line', async () => {
    const proxy = await startCuttingProxy(errand.url, CUT_AFTER_MS)
    const client = createClient({ baseUrl: proxy.url, token: errand.token })
    const ended = new AbortController()
    const listed = Promise.withResolvers<void>()
    const { id } = await errand.start(repository, 'make the failing test pass')
    const watchList = async () => {
      for await (const item of client.followSessions({ signal: ended.signal })) {
        const sessions = item.kind === 'sessions' ? item.sessions : []
        const shown = item.kind === 'session' ? [item.session] : sessions
        if (shown.some((session) => session.id === id && session.status === 'idle'))
          listed.resolve()
      }
    }
    const watching = watchList()
    const cli = startCommand(['logs', id, '--follow', '--json'], {
      env: { ERRAND_URL: proxy.url, ERRAND_TOKEN: errand.token },
    })
    const seen: SessionEvent[] = []
    for await (const item of client.followEvents(id, { signal: ended.signal })) {
      if (item.kind !== 'event') continue
      seen.push(item.event)
      if (endsTurn(item.event)) break
    }
    await cli.said(/"turn\.completed"/)
    await listed.promise
    cli.interrupt()
    await cli.ended()
    ended.abort()
    await watching
    const { events } = await errand.client.readEvents(id, { limit: 1000 })
    const until = events.findIndex(endsTurn) + 1
    expect(seen).toEqual(events.slice(0, until))
    const printed = cli.stdout().trim().split('\n')
    const shown = printed.map((line) => (JSON.parse(line) as SessionEvent).seq)
    expect(shown).toEqual(events.slice(0, shown.length).map(({ seq }) => seq))
    expect(shown.length).toBeGreaterThanOrEqual(until)
    expect(proxy.cuts()).toBeGreaterThan(3)
    await proxy.close()
  })
})

describe('a message whose answer did not arrive', () => {
  it('counts once when it is sent again', async () => {
    const { id } = await errand.start(repository, 'echo one', { kind: 'command' })
    const first = await errand.finish(id)
    const turnId = createId('turn', randomBytes(20))
    const message = { text: 'echo two', kind: 'command' as const, turnId }
    await errand.client.sendMessage(id, message)
    await errand.client.sendMessage(id, message)
    await errand.finish(id, first.at(-1)?.seq)
    expect(await errand.client.sendMessage(id, message)).toEqual({ turnId })
    const { events } = await errand.client.readEvents(id, { limit: 1000 })
    expect(eventsOf(events, 'message.queued')).toHaveLength(2)
  })
})

describe('a model that limits the rate or is overloaded', () => {
  it.each([
    { status: 429, retryAfterSeconds: 2 },
    { status: 529, retryAfterSeconds: 1 },
  ])('is asked again after the pause that it wants, by itself ($status)', async (limit) => {
    const since = errand.model.requests.length
    errand.model.failNext({ kind: 'status', ...limit })
    const { id } = await errand.start(repository, 'How does the discount work?')
    const events = await errand.finish(id)
    expect(eventsOf(events, 'turn.completed')).toHaveLength(1)
    const notices = eventsOf(events, 'agent.notice').filter(({ kind }) => kind === 'api_retry')
    expect(notices).toHaveLength(1)
    expect(notices[0]?.text).toContain(String(limit.status))
    const asked = errand.model.requests.slice(since).filter(({ side }) => !side)
    expect(asked.map(({ fault }) => fault?.kind)).toEqual([
      'status',
      ...asked.slice(1).map(() => undefined),
    ])
    const at = (type: string) => Date.parse(events.find(({ body }) => body.type === type)?.at ?? '')
    expect(at('turn.completed') - at('agent.notice')).toBeGreaterThan(
      limit.retryAfterSeconds * 1_000 - 500,
    )
  })
})

describe('a hook of the repository that ignores its limit and every signal', () => {
  it('holds the turn up for its limit only, and is gone with what it started', async () => {
    const hooked = join(folder, 'hooked')
    await createSampleRepository(hooked)
    const command =
      "trap '' TERM INT HUP; echo begun > /tmp/hook; sleep 7654 & while :; do sleep 7655; done"
    const hooks = { SessionStart: [{ hooks: [{ type: 'command', command, timeout: 2 }] }] }
    await mkdir(join(hooked, '.claude'), { recursive: true })
    await writeFile(join(hooked, '.claude/settings.json'), JSON.stringify({ hooks }))
    await runChecked('git', ['-C', hooked, 'add', '--all'])
    const identity = ['-c', 'user.name=Ann', '-c', 'user.email=ann@example.org']
    await runChecked('git', ['-C', hooked, ...identity, 'commit', '--quiet', '-m', 'hook'])
    const { id } = await errand.start(hooked, 'How does the discount work?')
    expect(eventsOf(await errand.finish(id), 'turn.completed')).toHaveLength(1)
    expect(await runInside(errand, id, 'cat /tmp/hook')).toBe('begun\n')
    const look =
      "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' | grep -c 'sleep 765[45]'; true"
    expect(await runInside(errand, id, look)).toBe('0\n')
  })
})

describe.each<ProgramName>(['gateway', 'gitd', 'sandboxd', 'server', 'postgres'])(
  '%s frozen for a while',
  (program) => {
    it('is waited for: the turn goes on to its end when it is thawed', async () => {
      const { id } = await errand.start(repository, 'make the failing test pass')
      const seen = await errand.follow(id, ({ body }) => body.type === 'tool.called')
      const pid = findProgram(errand.dataDir, program)
      process.kill(pid, 'SIGSTOP')
      // While their parent stands still none of them is gone, not even one that has ended.
      const children = program === 'postgres' ? childrenOf(pid) : []
      for (const child of children) process.kill(child, 'SIGSTOP')
      let isAnswered = false
      const asked = errand.client.getSession(id).then(() => {
        isAnswered = true
      })
      let wasAnswered = false
      const thawed = new Promise<void>((resolve) => {
        setTimeout(() => {
          wasAnswered = isAnswered
          for (const one of [...children, pid]) process.kill(one, 'SIGCONT')
          resolve()
        }, FROZEN_MS)
      })
      const later = await errand.finish(id, seen.at(-1)?.seq)
      await Promise.all([thawed, asked])
      const events = [...seen, ...later]
      expect(eventsOf(events, 'turn.completed')).toHaveLength(1)
      expect(eventsOf(events, 'sandbox.preparing')).toHaveLength(1)
      expect(events.map(({ seq }) => seq)).toEqual(events.map((_, index) => index + 1))
      expect((await errand.client.getDiff(id)).commits).toHaveLength(1)
      expect(findProgram(errand.dataDir, program)).toBe(pid)
      // Nobody gets an answer out of a database that stands still.
      if (program === 'postgres') expect(wasAnswered).toBe(false)
    })
  },
)
