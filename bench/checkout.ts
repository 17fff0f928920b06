// From submit to a work tree that is there, of a repository with 100,000 files that is kept as a layer, against one with 100. No
// sandbox waits with its agent in either: one that does has no work tree. To the first model request it takes longer, since
// Claude Code asks git for the state of all files before it, as it does without Errand.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { gitEnvironment } from '../demo/repository.ts'
import type { BenchContext, Benchmark } from './benchmark.ts'
import { compare } from './compare.ts'
import { createFigure, type Figure } from './figure.ts'
import { startErrand } from './installation.ts'
import { createHookRepository, createSessionStart, type Started } from './start-session.ts'

const SMALL = 100
const LARGE = 100_000
const FILES_IN_FOLDER = 100
const TAKEN = 'was taken from a layer'
/** The first session makes it; these come while it is being made. */
const MOST_TRIES = 50

export const checkout: Benchmark = {
  name: 'checkout',
  about: 'submit to a checkout of 100,000 files, against 100, and to the first model request',
  run: measure,
}

async function measure(context: BenchContext): Promise<Figure[]> {
  const errand = await startErrand(context)
  const startOn = async (files: number) => {
    const repository = await createHookRepository(context, `files-${files}`)
    await addFiles(repository, files)
    return await createSessionStart(errand, repository)
  }
  const [small, large] = [await startOn(SMALL), await startOn(LARGE)]
  context.say(`a session on ${LARGE} files that nobody has checked out yet`)
  // The layer is made of its repository, after its start.
  const first = await large(-1, true)
  await untilTaken(large, context)
  const checkedOut: Record<'small' | 'large', number[]> = { small: [], large: [] }
  const onLarge = async (round: number) => {
    const started = await large(round)
    if (!isTaken(started)) throw new Error('the work tree was cloned again')
    if (round >= 0) checkedOut.large.push(checkoutMs(started))
    return started.durationMs
  }
  const onSmall = async (round: number) => {
    const started = await small(round)
    if (round >= 0) checkedOut.small.push(checkoutMs(started))
    return started.durationMs
  }
  const [ours, others] = await compare([onLarge, onSmall], {
    runs: context.runs,
    warmUps: 2,
    onRound: (round) => context.say(`round ${round + 1} of ${context.runs}`),
  })
  const figure = (name: string, samples: number[], other: number[]) =>
    createFigure({
      ...{ name, unit: 'ms', ours: samples, benchmark: 'checkout' },
      other: { name: `${SMALL} files`, samples: other },
    })
  return [
    figure('checkout', checkedOut.large, checkedOut.small),
    figure('checkout-first', [checkoutMs(first)], checkedOut.small),
    figure('checkout-request', ours, others),
  ]
}

/** Until the work tree is there. */
function checkoutMs({ events, submittedAt }: Started): number {
  const done = events.find(
    ({ body }) => body.type === 'phase.completed' && body.phase === 'checkout',
  )
  if (!done) throw new Error('there was no checkout')
  return Date.parse(done.at) - submittedAt
}

/** In one commit, without writing them to the disk. */
async function addFiles(repository: string, count: number): Promise<void> {
  const env = gitEnvironment()
  const child = spawn('git', ['fast-import', '--quiet'], {
    ...{ cwd: repository, env, stdio: ['pipe', 'ignore', 'inherit'] },
  })
  const exited = once(child, 'exit')
  const say = async (text: string) => {
    if (child.stdin && !child.stdin.write(text)) await once(child.stdin, 'drain')
  }
  const head = 'commit refs/heads/main\ncommitter A <a@example.com> 1700000000 +0000\ndata 5\nfiles'
  await say(`${head}\nfrom refs/heads/main^0\n`)
  for (let n = 0; n < count; n += 1) {
    const text = `file ${n}\n${'a line of text '.repeat(n % 40)}\n`
    const folder = Math.floor(n / FILES_IN_FOLDER)
    const path = `many/${folder % FILES_IN_FOLDER}/${folder}/${n}.txt`
    await say(`M 100644 inline ${path}\ndata ${text.length}\n${text}\n`)
  }
  child.stdin?.end()
  const [code] = await exited
  if (code !== 0) throw new Error(`git fast-import ended with ${code}`)
}

async function untilTaken(
  start: (round: number) => Promise<Started>,
  context: BenchContext,
): Promise<void> {
  for (let tries = 1; !isTaken(await start(-1)); tries += 1) {
    context.say('its work tree is not kept yet')
    if (tries === MOST_TRIES) throw new Error('the work tree was not kept')
  }
}

function isTaken({ events }: Started): boolean {
  return events.some(
    ({ body }) => body.type === 'phase.logged' && body.lines.some((line) => line.includes(TAKEN)),
  )
}
