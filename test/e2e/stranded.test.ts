// A session is never stranded with its sandbox: the container is killed, its disk is gone or damaged, and the session goes on
// with what was saved.
import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createSampleRepository } from '../../demo/repository.ts'
import { delay } from '../../src/lib/deadline.ts'
import { runChecked, runProcess } from '../../src/lib/process.ts'
import type { SessionEvent } from '../../src/protocol/event.ts'
import { SAVED_CONVERSATION_REF, SAVED_WORK_REF } from '../../src/protocol/saved-refs.ts'
import { findInside, type InsideName } from '../faults/processes.ts'
import { eventsOf, type Installation, startInstallation } from './installation.ts'
import { runInside } from './transcript.ts'
import { gitEnvironment } from './upload.ts'

const SAVED_OFTEN = 'saved-often'
let errand: Installation
let folder: string
let repository: string
let look: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'errand-stranded-'))
  repository = join(folder, 'cart')
  look = join(folder, 'look.git')
  await createSampleRepository(repository)
  await runChecked('git', ['init', '--quiet', '--bare', look])
  errand = await startInstallation({ env: { ERRAND_LOG_LEVEL: 'error' } })
  const variables = { ERRAND_SAVE_EVERY_S: '1' }
  await errand.client.createEnvironment({ name: SAVED_OFTEN, variables })
})
afterAll(async () => {
  await errand?.stop()
  await rm(folder, { recursive: true, force: true })
})

const sandboxFile = (id: string, name: string) => join(errand.dataDir, 'sandboxes', id, name)

/** Resolves when what is saved holds the text in one of its files. */
async function untilSaved(id: string, ref: string, text: string): Promise<void> {
  const env = gitEnvironment(errand.token)
  const url = `${errand.url}/api/v1/git/sessions/${id}`
  for (;;) {
    await runProcess('git', ['-C', look, 'fetch', '--quiet', url, ref], { env })
    const args = ['-C', look, 'grep', '--quiet', '--fixed-strings', text, 'FETCH_HEAD']
    if ((await runProcess('git', args)).exitCode === 0) return
    await delay(200)
  }
}

function killInside(id: string, who: InsideName): void {
  process.kill(findInside(errand.dataDir, id, who), 'SIGKILL')
}

async function startWaiting() {
  const { id } = await errand.start(repository, 'wait in a command', { environment: SAVED_OFTEN })
  const events = await errand.follow(id, ({ body }) => body.type === 'tool.called')
  await untilSaved(id, SAVED_WORK_REF, 'waiting')
  await untilSaved(id, SAVED_CONVERSATION_REF, 'Wait without an end')
  return { id, events }
}

const notices = (events: SessionEvent[]) => eventsOf(events, 'agent.notice').map(({ kind }) => kind)

describe('kill -9 in the middle of a turn', () => {
  it.each(['container', 'runner'] as const)(
    'of the %s: it is started again, and the turn goes on',
    async (who) => {
      const { id, events: before } = await startWaiting()
      killInside(id, who)
      const events = await errand.finish(id, before.at(-1)?.seq)
      expect(eventsOf(events, 'sandbox.lost')).toHaveLength(1)
      expect(eventsOf(events, 'sandbox.preparing')).toMatchObject([{ resume: true, generation: 2 }])
      expect(notices(events)).toEqual(['resumed'])
      expect(eventsOf(events, 'turn.completed')).toHaveLength(1)
      expect((await errand.client.getDiff(id)).files.map(({ path }) => path)).toEqual([
        'waiting.txt',
      ])
    },
  )

  it('of the agent: the turn goes on in the same sandbox', async () => {
    const { id, events: before } = await startWaiting()
    killInside(id, 'agent')
    const events = await errand.finish(id, before.at(-1)?.seq)
    expect(eventsOf(events, 'sandbox.lost')).toEqual([])
    expect(notices(events)).toEqual(['resumed'])
    expect(eventsOf(events, 'turn.completed')).toHaveLength(1)
    const left = await runInside(errand, id, 'pgrep -x tail; echo none')
    expect(left).toBe('none\n')
  })

  it('of the container, with its disk gone: it is replaced and goes on from what was saved', async () => {
    const { id, events: before } = await startWaiting()
    await rm(sandboxFile(id, 'disk.img'))
    killInside(id, 'container')
    const events = await errand.finish(id, before.at(-1)?.seq)
    expect(notices(events)).toEqual(['sandbox_replaced', 'resumed'])
    const logged = eventsOf(events, 'phase.logged').flatMap(({ lines }) => lines)
    expect(logged.join('\n')).toContain('disk_missing')
    expect(eventsOf(events, 'turn.completed')).toHaveLength(1)
    expect((await errand.client.getDiff(id)).files.map(({ path }) => path)).toEqual(['waiting.txt'])
    const last = errand.model.requests.findLast(({ side }) => !side)
    expect(last?.body).toContain('wait in a command')
    expect(last?.body).toContain('The sandbox was lost while you were working')
  })
})

describe('a disk that is gone or damaged', () => {
  it.each(['gone', 'damaged'])('and was %s while the session slept is no loss', async (how) => {
    const text = 'mkdir new; echo untracked > new/a.txt; echo changed >> README.md; git stash list'
    const { id } = await errand.start(repository, text, { kind: 'command' })
    const first = await errand.finish(id)
    await untilSaved(id, SAVED_WORK_REF, 'untracked')
    await errand.client.actOnSession(id, 'stop')
    await errand.follow(id, ({ body }) => body.type === 'sandbox.stopped', first.at(-1)?.seq)
    if (how === 'gone') await rm(sandboxFile(id, 'disk.img'))
    else await spoil(sandboxFile(id, 'disk.img'))
    const output = await runInside(errand, id, 'git status --porcelain -uall; cat new/a.txt')
    expect(output).toBe(' M README.md\n?? new/a.txt\nuntracked\n')
    const { events } = await errand.client.readEvents(id, { limit: 1000 })
    expect(notices(events)).toEqual(['sandbox_replaced'])
  })
})

/** Writes zeros over the first superblock and what follows it. */
async function spoil(path: string): Promise<void> {
  const file = await open(path, 'r+')
  try {
    await file.write(Buffer.alloc(1 << 20), 0, 1 << 20, 0)
  } finally {
    await file.close()
  }
}
