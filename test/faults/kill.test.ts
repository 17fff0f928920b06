// Every program of an installation and all that is in a sandbox, killed with SIGKILL while five sessions are each in the middle
// of something: a turn, and a push at four points. Each goes on to its end, nothing is lost and nothing is done twice; then the
// same sessions are asked for more, and the next one is killed.
// The worker has no process of its own: it dies with the server, here while it sends outward what was kept.

import { constants } from 'node:fs'
import { access, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { withDeadline } from '../../src/lib/deadline.ts'
import {
  type Bench,
  createBench,
  eventually,
  isInside,
  kill,
  type Victim,
  watchOrphans,
} from './bench.ts'
import type { Hold, HoldPoint } from './forge.ts'
import { askForNote, killing, type NoteSession, settle, startNote, tellStory } from './notes.ts'
import { findInside, INSIDE, PROGRAMS } from './processes.ts'
import { cutPower } from './reboot.ts'

let bench: Bench

beforeAll(async () => {
  bench = await createBench({ paceMs: 20 })
})
// One that failed leaves nothing held to the next.
afterEach(async () => {
  bench.forge.isDown = false
  await Promise.all(forgeHolds.splice(0).map(({ release }) => release()))
})
afterAll(async () => {
  await Promise.all([...known.values()].map(({ id }) => bench.errand.client.removeSession(id)))
  await bench?.close()
})

interface Held {
  session: NoteSession
  release(): Promise<void>
}

const LIMIT_MS = 60_000
let count = 0
const newNote = (where: string) => `${where}-${++count}`

/** By what each is in the middle of. */
const known = new Map<string, NoteSession>()
const forgeHolds: Hold[] = []

async function ask(where: string, way: string, note = newNote(where)): Promise<NoteSession> {
  const session = known.get(where)
  if (session)
    await eventually('an answer', () => askForNote(bench, session, note, `${way}add the note`))
  else known.set(where, await startNote(bench, note, `${way}add the note`))
  return known.get(where) as NoteSession
}

/** The model has begun to answer. */
async function inTheModelsAnswer(): Promise<Held> {
  const note = newNote('answer')
  const asked = Promise.withResolvers<void>()
  const end = bench.watchModel(({ body }) => {
    if (body.includes(`add the note ${note}`)) asked.resolve()
  })
  const session = await ask('answer', 'patiently ', note)
  await withDeadline('the request to the model', LIMIT_MS, () => asked.promise).finally(end)
  return { session, release: async () => undefined }
}

/** The agent has sent a part of its pack. */
async function beforeGitHasThePack(): Promise<Held> {
  const { dataDir } = bench.errand
  const hold = async (id: string, name = '') =>
    join(`/proc/${findInside(dataDir, id, 'container')}/root/tmp/hold`, name)
  const before = known.get('pack')
  if (before) await rm(await hold(before.id), { recursive: true, force: true })
  const session = await ask('pack', 'slowly ')
  await eventually('a pack that stops', async () => access(await hold(session.id, 'held')))
  const release = async () => {
    // With its sandbox gone nothing is held any more.
    const pipe = await hold(session.id, 'go')
      .then((path) => open(path, constants.O_WRONLY | constants.O_NONBLOCK))
      .catch(() => undefined)
    await pipe?.write('go\n')
    await pipe?.close()
  }
  return { session, release }
}

/** The forge has the push and has not taken it yet, or has taken it and keeps the end of its answer. */
async function whileTheForgeHolds(point: HoldPoint): Promise<Held> {
  const before = known.get(point)
  const early = before && (await holdForge(before.branch, point))
  const session = await ask(point, '')
  return reached(session, early ?? (await holdForge(session.branch, point)))
}

/** The commit is in the session's repository, and the worker is pushing it outward. */
async function betweenHereAndOutside(): Promise<Held> {
  bench.forge.isDown = true
  const session = await ask('kept', '')
  await bench.errand.follow(
    session.id,
    ({ body }) => body.type === 'push.accepted',
    session.lastSeq,
  )
  const hold = await holdForge(session.branch, 'before')
  bench.forge.isDown = false
  return reached(session, hold)
}

async function holdForge(branch: string, point: HoldPoint): Promise<Hold> {
  const hold = await bench.forge.hold(branch, point)
  forgeHolds.push(hold)
  return hold
}

async function reached(session: NoteSession, hold: Hold): Promise<Held> {
  await hold.reached(AbortSignal.timeout(LIMIT_MS))
  return { session, release: hold.release }
}

async function killIt(victim: Victim | 'everything', sessions: NoteSession[]): Promise<void> {
  if (victim === 'everything') await cutPower(bench)
  else if (isInside(victim)) for (const { id } of sessions) await kill(bench, victim, id)
  else await kill(bench, victim, '')
}

async function inTheMiddle(): Promise<Held[]> {
  const kept = await betweenHereAndOutside()
  const pack = await beforeGitHasThePack()
  const pushes = [whileTheForgeHolds('before'), whileTheForgeHolds('after')]
  return [kept, pack, ...(await Promise.all(pushes)), await inTheModelsAnswer()]
}

async function failWithStories(cause: unknown): Promise<never> {
  const stories = [...known].map(async ([where, { id }]) =>
    [where, await tellStory(bench, id).catch(String)].join('\n'),
  )
  const words = [
    String(cause),
    ...(await Promise.all(stories)),
    bench.errand.logged().slice(-5_000),
  ]
  throw new Error(words.join('\n'), { cause })
}

describe.each([...PROGRAMS, ...INSIDE, 'everything'] as const)('%s killed', (victim) => {
  it('in a turn and in pushes', async () => {
    const all = await inTheMiddle().catch(failWithStories)
    const sessions = all.map(({ session }) => session)
    const orphans = watchOrphans(
      bench,
      (body) => sessions.find(({ notes }) => body.includes(`add the note ${notes[0]}"`))?.id,
    )
    await killing(sessions, () => killIt(victim, sessions)).catch(failWithStories)
    await Promise.all(all.map(({ release }) => release()))
    if (victim === 'everything') await bench.errand.startAgain()
    const settled = await Promise.allSettled(sessions.map((session) => settle(bench, session)))
    orphans.end()
    const failures = settled.flatMap((result) =>
      result.status === 'rejected' ? [String(result.reason)] : [],
    )
    expect(failures).toEqual([])
    expect(orphans.found).toEqual([])
    if (INSIDE.some((name) => name === victim)) expect(orphans.looks).toBeGreaterThan(0)
  })
})

it('the gateway killed in the middle of an answer: its tokens are counted all the same', async () => {
  const { client, model } = bench.errand
  const session = await startNote(bench, newNote('tokens'), 'patiently add the note')
  const served = () =>
    model.requests.filter(({ body }) =>
      session.notes.some((note) => body.includes(`add the note ${note}`)),
    )
  await killGatewayInAnswer(session)
  // On a machine that does much else an answer may be over before the kill: another one is cut off then.
  while (served().every(({ answeredAt }) => answeredAt !== undefined)) {
    await askForNote(bench, session, newNote('tokens'), 'patiently add the note')
    await killGatewayInAnswer(session)
  }
  const { usage } = await client.getSession(session.id)
  const cached = served().reduce(
    (sum, { usage: of }) => sum + (of?.cache_creation_input_tokens ?? 0),
    0,
  )
  expect(usage).toMatchObject({ requests: served().length, cacheCreationTokens: cached })
  await client.removeSession(session.id)
})

async function killGatewayInAnswer(session: NoteSession): Promise<void> {
  const signal = AbortSignal.timeout(LIMIT_MS)
  const { id, lastSeq } = session
  for await (const item of bench.errand.client.followEvents(id, { afterSeq: lastSeq, signal }))
    if (item.kind === 'delta') break
  await killing([session], () => kill(bench, 'gateway', id))
  await settle(bench, session)
}
