// A clone of a repository of some megabytes through a session's git door, against the same clone straight from git's own
// http-backend. Git runs outside of the sandbox in both, so that disks and limits are the same.
import { createHash } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { gitEnvironment } from '../demo/repository.ts'
import {
  createTestUpstream,
  createWorkbench,
  type Workbench,
} from '../src/git/upstream/upstream.fixture.ts'
import { runChecked } from '../src/lib/process.ts'
import { createRepositoryUpload } from '../test/e2e/upload.ts'
import type { BenchContext, Benchmark } from './benchmark.ts'
import { compare, type Measure } from './compare.ts'
import { createFigure } from './figure.ts'
import { type BenchErrand, startErrand, TURN_ENDS } from './installation.ts'
import { openDoorPipe } from './pipe.ts'

const COMMITS = 40
const FILES_EACH = 20
const FILE_BYTES = 16 << 10

export const clone: Benchmark = {
  name: 'clone',
  about: 'clone through the git door, against git http-backend',
  run: async (context) => {
    const errand = await startErrand(context)
    const { folder, shutdown } = context
    const workbench = createWorkbench(folder)
    const root = join(folder, 'upstream')
    const upstream = await createTestUpstream(root, { workbench, empty: true })
    shutdown.add('http-backend', upstream.close)
    context.say('making the repository')
    await fillRepository(workbench, upstream.checkout)
    await workbench.git(upstream.checkout, ['push', '--quiet', 'origin', 'main'])
    const door = await openSession(context, errand, upstream.checkout)
    const head = await workbench.git(upstream.directory, ['rev-parse', 'main'])
    const of = cloneInto(join(folder, 'clone'), head)
    const [a, b] = await compare([of(door), of(upstream.url)], {
      runs: context.runs,
      warmUps: 2,
      onRound: (round) => context.say(`round ${round + 1} of ${context.runs}`),
    })
    const other = { name: 'git http-backend', samples: b }
    const note = `${COMMITS} commits, ${((COMMITS * FILES_EACH * FILE_BYTES) / 2 ** 20).toFixed(1)} MiB of files`
    return [createFigure({ name: 'clone', unit: 'ms', ours: a, benchmark: 'clone', other, note })]
  },
}

/** Text that does not compress away, the same each time. */
async function fillRepository(workbench: Workbench, checkout: string): Promise<void> {
  for (let commit = 0; commit < COMMITS; commit++) {
    const files = Array.from({ length: FILES_EACH }, (_, file) => {
      const name = `part-${commit % 10}/file-${commit}-${file}.txt`
      return [name, textOf(`${commit} ${file}`)] as const
    })
    await workbench.commit(checkout, Object.fromEntries(files), `commit ${commit}`)
  }
}

function textOf(seed: string): string {
  const lines: string[] = []
  for (let size = 0, hash = seed; size < FILE_BYTES; size += 65) {
    hash = createHash('sha256').update(hash).digest('hex')
    lines.push(hash)
  }
  return `${lines.join('\n')}\n`
}

/** A session whose door stays open; the address of its repository there. */
async function openSession(context: BenchContext, errand: BenchErrand, repository: string) {
  context.say('starting a session')
  const source = await createRepositoryUpload(errand, repository)
  const { id } = await errand.client.createSession({ prompt: 'true', kind: 'command', source })
  await errand.follow(id, TURN_ENDS)
  const pipe = await openDoorPipe(join(errand.runtimeDir, 'doors', id, 'gateway.sock'))
  context.shutdown.add('pipe', pipe.close)
  return `http://127.0.0.1:${pipe.port}/git/repository.git`
}

function cloneInto(target: string, head: string): (url: string) => Measure {
  const env = { ...gitEnvironment(), GIT_TERMINAL_PROMPT: '0' }
  return (url) => async () => {
    const startedAt = performance.now()
    await runChecked('git', ['clone', '--quiet', '--no-checkout', url, target], { env })
    const durationMs = performance.now() - startedAt
    await runChecked('git', ['-C', target, 'cat-file', '-e', `${head}^{tree}`], { env })
    await rm(target, { recursive: true, force: true })
    return durationMs
  }
}
