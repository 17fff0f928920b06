// From submit to the first output of a command, 20 sessions at once against one alone, on an environment whose setup script
// has run. All may work at once, so that none waits in the queue, and nothing is started ahead.
import { createRepositoryUpload } from '../test/e2e/upload.ts'
import type { BenchContext, Benchmark } from './benchmark.ts'
import { compare } from './compare.ts'
import { createFigure, type Figure } from './figure.ts'
import { type BenchErrand, startErrand } from './installation.ts'
import { type LayerSession, runOnLayer, SETUP } from './layer-session.ts'
import { createHookRepository } from './start-session.ts'

const AT_ONCE = 20

export const atOnce: Benchmark = {
  name: 'at-once',
  about: '20 sessions submitted at once on an environment that is ready, against one alone',
  run: measure,
}

interface Submitting extends LayerSession {
  errand: BenchErrand
}

async function measure(context: BenchContext): Promise<Figure[]> {
  const errand = await startErrand(context, { ERRAND_CONCURRENCY: `${AT_ONCE}` })
  const source = await createRepositoryUpload(errand, await createHookRepository(context))
  const { id: environment } = await errand.client.createEnvironment({ name: 'ready', setup: SETUP })
  const submitting = { errand, source, environment }
  const firsts: number[] = []
  const middles: number[] = []
  const many = async (round: number) => {
    const took = (await submit(submitting, AT_ONCE)).toSorted((a, b) => a - b)
    if (round >= 0) {
      firsts.push(took[0] ?? 0)
      middles.push(took[AT_ONCE / 2] ?? 0)
    }
    return took.at(-1) ?? 0
  }
  const one = async () => (await submit(submitting, 1))[0] ?? 0
  const [last, alone] = await compare([many, one], {
    runs: context.runs,
    onRound: (round) => context.say(`round ${round + 1} of ${context.runs}`),
  })
  const figure = (name: string, ours: number[]) => {
    const other = { name: 'one session alone', samples: alone }
    return createFigure({ name, unit: 'ms', ours, benchmark: 'at-once', other })
  }
  return [
    figure('at-once-first', firsts),
    figure('at-once-middle', middles),
    figure('at-once-last', last),
  ]
}

/** Resolves with how long each took, once all are gone again. */
async function submit({ errand, ...session }: Submitting, count: number): Promise<number[]> {
  const all = await Promise.all(Array.from({ length: count }, () => runOnLayer(errand, session)))
  await Promise.all(all.map(({ id }) => errand.client.removeSession(id)))
  return all.map(({ durationMs }) => durationMs)
}
