// Stop and rm while every phase hangs for real: an upstream that accepts and says nothing, a runtime that does not come back,
// a filter of git that ignores signals, an agent that does not start, a runner and an agent that are frozen. Each stop is
// measured on the event times of the server, and then the machine is searched for what is left.
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createWorkbench } from '../../src/git/upstream/upstream.fixture.ts'
import { delay } from '../../src/lib/deadline.ts'
import type { NewSession } from '../../src/protocol/api.ts'
import type { SessionEvent } from '../../src/protocol/event.ts'
import { SANDBOX_PATHS } from '../../src/protocol/network.ts'
import { findInside, findProgram, type ProgramName } from '../faults/processes.ts'
import { eventsOf, type Installation, startInstallation } from './installation.ts'
import { createIsland, type Island } from './island.ts'
import { findTraces, firstIdOf, NO_TRACES } from './traces.ts'
import { createPrivateUpstream, GIT_HOST, type PrivateUpstream } from './upstream.ts'

const STOP_LIMIT_MS = 10_000
/** Nothing inside asks when to end. */
const STUBBORN = `trap '' TERM INT HUP; while :; do sleep 1; done`

let folder: string
let island: Island
let upstream: PrivateUpstream
let errand: Installation
/** While this file is there, the runtime does not come back from `run`. */
let runtimeHangs: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'errand-stop-'))
  runtimeHangs = join(folder, 'hangs')
  const runtime = join(folder, 'runtime')
  const script = `#!/bin/sh
case " $* " in
*' run '*) [ -e ${runtimeHangs} ] && { ${STUBBORN}; } ;;
esac
exec runc "$@"
`
  await writeFile(runtime, script, { mode: 0o755 })
  island = await createIsland({ hosts: { [GIT_HOST]: 'outside' } })
  upstream = await createPrivateUpstream(island.outside)
  await addHangingBranches()
  errand = await startInstallation({
    island,
    env: {
      ERRAND_ALLOWED_NETWORKS: `${GIT_HOST}=${island.network}`,
      ERRAND_OCI_RUNTIME: runtime,
      ERRAND_LOG_LEVEL: 'fatal',
    },
  })
  const failsOnce = '[ -e /root/tried ] || { touch /root/tried; echo not yet >&2; exit 1; }; cat'
  const variables = {
    GIT_CONFIG_COUNT: '3',
    GIT_CONFIG_KEY_0: 'filter.stubborn.smudge',
    GIT_CONFIG_VALUE_0: STUBBORN,
    GIT_CONFIG_KEY_1: 'filter.once.smudge',
    GIT_CONFIG_VALUE_1: failsOnce,
    GIT_CONFIG_KEY_2: 'filter.once.required',
    GIT_CONFIG_VALUE_2: 'true',
  }
  await errand.client.createEnvironment({ name: 'filters', variables })
})
afterAll(async () => {
  await errand?.stop()
  await upstream?.remove()
  await island?.remove()
  await rm(folder, { recursive: true, force: true })
})

/** Branches whose checkout or whose agent hangs. */
async function addHangingBranches(): Promise<void> {
  const { git, commit } = createWorkbench(folder)
  const clone = join(folder, 'clone')
  await git(folder, ['clone', '--quiet', upstream.directory, clone])
  await git(clone, ['checkout', '--quiet', '-B', 'filtered', 'origin/main'])
  await commit(clone, { '.gitattributes': 'held.txt filter=stubborn\n', 'held.txt': 'x\n' })
  await git(clone, ['checkout', '--quiet', '-B', 'hooked', 'origin/main'])
  const hook = { type: 'command', command: STUBBORN, timeout: 600 }
  const settings = { hooks: { SessionStart: [{ hooks: [hook] }] } }
  await commit(clone, { '.claude/settings.json': JSON.stringify(settings) })
  await git(clone, ['checkout', '--quiet', '-B', 'once', 'origin/main'])
  await commit(clone, { '.gitattributes': 'held.txt filter=once\n', 'held.txt': 'x\n' })
  await git(clone, ['push', '--quiet', 'origin', 'filtered', 'hooked', 'once'])
}

const start = (fields: Partial<NewSession> = {}) =>
  errand.client.createSession({
    prompt: 'wait in a command',
    source: { kind: 'remote', url: upstream.urlWithCredential },
    ...fields,
  })

async function until(isTrue: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isTrue())) await delay(50)
}

/** Until a process of the session has this in its arguments. */
const untilRuns = (id: string, text: string) =>
  until(async () => (await findTraces(errand, id)).processes.some((line) => line.includes(text)))

interface Hang {
  where: string
  fields?: Partial<NewSession>
  /** Before the session begins. */
  before?: () => Promise<unknown>
  /** Resolves when it hangs. */
  hung: (id: string) => Promise<unknown>
  after?: () => Promise<unknown>
}

const turnRuns = (id: string) => errand.follow(id, ({ body }) => body.type === 'tool.called')
const freeze = async (id: string, who: 'runner' | 'agent') => {
  await turnRuns(id)
  process.kill(findInside(errand.dataDir, id, who), 'SIGSTOP')
}
const signalProgram = (name: ProgramName, signal: NodeJS.Signals) =>
  process.kill(findProgram(errand.dataDir, name), signal)
const askUpstream = () => {
  const before = upstream.requests.length
  return until(() => upstream.requests.length > before)
}
const upstreamHangs = async () => {
  upstream.answer = () => undefined
}
const upstreamServes = async () => {
  upstream.answer = upstream.serve
}

const CASES: Hang[] = [
  {
    where: 'fetch, with an upstream that says nothing',
    before: upstreamHangs,
    hung: askUpstream,
    after: upstreamServes,
  },
  {
    where: 'fetch, with a frozen gitd',
    before: upstreamHangs,
    hung: async () => {
      await askUpstream()
      signalProgram('gitd', 'SIGSTOP')
    },
    after: async () => {
      signalProgram('gitd', 'SIGCONT')
      await upstreamServes()
    },
  },
  {
    where: 'sandbox, with a runtime that does not come back',
    before: () => writeFile(runtimeHangs, ''),
    hung: (id) => untilRuns(id, ' run --detach '),
    after: () => rm(runtimeHangs),
  },
  {
    where: 'sandbox, at the moment that its first process runs',
    hung: (id) => untilRuns(id, SANDBOX_PATHS.runner),
  },
  {
    where: 'checkout, in a filter that ignores signals',
    fields: { baseBranch: 'filtered', environment: 'filters' },
    hung: (id) => untilRuns(id, STUBBORN),
  },
  {
    where: 'agent, in a start hook that ignores signals',
    fields: { baseBranch: 'hooked' },
    hung: (id) => untilRuns(id, STUBBORN),
  },
  { where: 'a turn, with a frozen runner', hung: (id) => freeze(id, 'runner') },
  { where: 'a turn, with a frozen agent', hung: (id) => freeze(id, 'agent') },
  {
    where: 'a turn that is a command that ignores signals',
    fields: { kind: 'command', prompt: `echo begun; ${STUBBORN}` },
    hung: (id) => errand.follow(id, ({ body }) => body.type === 'command.output'),
  },
]

/** How long the session took to end, by the server's own clock. */
async function stopAndMeasure(id: string): Promise<number> {
  await errand.client.actOnSession(id, 'stop')
  const events = await errand.follow(id, ({ body }) => body.type === 'sandbox.stopped')
  const at = (type: string) =>
    Date.parse(events.findLast(({ body }) => body.type === type)?.at ?? '')
  return at('sandbox.stopped') - at('turn.interrupted')
}

async function findWhatIsNotKept(id: string, firstId: number | undefined) {
  const kept = [join('sandboxes', id), join('git/sessions', `${id}.git`)]
  const { files, ...others } = await findTraces(errand, id, firstId)
  return { ...others, files: files.filter((name) => !kept.includes(name)) }
}

/** Rejects when it fails instead of hanging. */
async function failed(id: string): Promise<never> {
  const events = await errand.follow(id, ({ body }) => body.type === 'session.failed')
  throw new Error(JSON.stringify(events.at(-1)))
}

async function removeAndFindNothing(id: string, firstId: number | undefined): Promise<void> {
  await errand.client.removeSession(id)
  await expect(errand.client.getSession(id)).rejects.toMatchObject({ code: 'not_found' })
  await expect.poll(() => findTraces(errand, id, firstId), { timeout: 60_000 }).toEqual(NO_TRACES)
}

async function withHang(hang: Hang, work: (id: string) => Promise<void>): Promise<void> {
  await hang.before?.()
  try {
    const { id } = await start(hang.fields)
    await Promise.race([hang.hung(id), failed(id)])
    await work(id)
  } finally {
    await hang.after?.()
  }
}

describe.each(CASES)('$where', (hang) => {
  it('is stopped in time, leaves its disk and repository, and is removed', async () => {
    let removed = { id: '', firstId: undefined as number | undefined }
    await withHang(hang, async (id) => {
      const firstId = firstIdOf(errand, id)
      const tookMs = await stopAndMeasure(id)
      expect(tookMs).toBeLessThanOrEqual(STOP_LIMIT_MS)
      // The git that served a push of the sandbox is asked to end when the push is cut off.
      await expect
        .poll(() => findWhatIsNotKept(id, firstId), { timeout: STOP_LIMIT_MS })
        .toEqual(NO_TRACES)
      removed = { id, firstId }
    })
    await removeAndFindNothing(removed.id, removed.firstId)
  })

  it('is removed without having been stopped, and once only', async () => {
    let removed = { id: '', firstId: undefined as number | undefined }
    await withHang(hang, async (id) => {
      removed = { id, firstId: firstIdOf(errand, id) }
      await errand.client.removeSession(id)
      await expect(errand.client.removeSession(id)).rejects.toMatchObject({ code: 'not_found' })
    })
    const { id, firstId } = removed
    await expect.poll(() => findTraces(errand, id, firstId), { timeout: 60_000 }).toEqual(NO_TRACES)
  })
})

describe('rm', () => {
  it.each<ProgramName>(['sandboxd', 'gitd', 'gateway'])(
    'answers at once while %s is frozen; what is left goes when it is back',
    async (program) => {
      const { id } = await start()
      await turnRuns(id)
      const firstId = firstIdOf(errand, id)
      signalProgram(program, 'SIGSTOP')
      try {
        const startedAt = performance.now()
        await errand.client.removeSession(id)
        expect(performance.now() - startedAt).toBeLessThan(5_000)
        await expect(errand.client.getSession(id)).rejects.toMatchObject({ code: 'not_found' })
        expect(await findTraces(errand, id, firstId)).not.toEqual(NO_TRACES)
      } finally {
        signalProgram(program, 'SIGCONT')
      }
      await expect
        .poll(() => findTraces(errand, id, firstId), { timeout: 60_000 })
        .toEqual(NO_TRACES)
    },
  )

  it('works with every program killed', async () => {
    const { id } = await start()
    await turnRuns(id)
    const firstId = firstIdOf(errand, id)
    for (const program of ['sandboxd', 'gitd', 'gateway'] as const)
      signalProgram(program, 'SIGKILL')
    await removeAndFindNothing(id, firstId)
  })

  it('works with a damaged disk and a record that says nothing', async () => {
    const { id } = await start()
    await turnRuns(id)
    const firstId = firstIdOf(errand, id)
    await stopAndMeasure(id)
    const disk = await open(join(errand.dataDir, 'sandboxes', id, 'disk.img'), 'r+')
    await disk.write(Buffer.alloc(1 << 20), 0, 1 << 20, 0)
    await disk.close()
    await writeFile(join(errand.dataDir, 'sandboxes', id, 'sandbox.json'), '{')
    await removeAndFindNothing(id, firstId)
  })
})

describe('a retry', () => {
  it('goes on from the failed phase, and shows what was kept', async () => {
    upstream.answer = (incoming, outgoing) => {
      incoming.resume()
      outgoing.writeHead(404).end()
    }
    const fields = { baseBranch: 'once', environment: 'filters' }
    const { id } = await start({ prompt: 'echo done', kind: 'command', ...fields })
    const unfetched = await errand.finish(id)
    await upstreamServes()
    const logged = eventsOf(unfetched, 'phase.logged').flatMap(({ lines }) => lines)
    expect(logged.join('\n')).toContain('not found')

    await errand.client.actOnSession(id, 'retry')
    const unfinished = await errand.finish(id, unfetched.at(-1)?.seq)
    expect(phasesOf(unfinished).toSorted()).toEqual(['fetch', 'sandbox'])
    expect(eventsOf(unfinished, 'phase.failed')).toMatchObject([
      { phase: 'checkout', message: expect.stringContaining('not yet') },
    ])

    await errand.client.actOnSession(id, 'retry')
    const done = await errand.finish(id, unfinished.at(-1)?.seq)
    expect(phasesOf(done)).toEqual(['fetch kept', 'sandbox', 'checkout', 'agent'])
    expect(eventsOf(done, 'turn.completed')).toHaveLength(1)

    const { lastSeq } = await errand.client.getSession(id)
    await errand.client.actOnSession(id, 'stop')
    await errand.follow(id, ({ body }) => body.type === 'sandbox.stopped', lastSeq)
    await errand.client.sendMessage(id, { text: 'echo again', kind: 'command' })
    const again = await errand.finish(id, lastSeq)
    expect(phasesOf(again)).toEqual([...['fetch kept', 'sandbox', 'checkout kept', 'agent']])
  })
})

const phasesOf = (events: SessionEvent[]) =>
  eventsOf(events, 'phase.completed').map(({ phase, kept }) => (kept ? `${phase} kept` : phase))
