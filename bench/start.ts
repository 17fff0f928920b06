// From submit to the first model request, as the model server sees it, against bare Claude Code on the same repository.
import type { BenchContext, Benchmark } from './benchmark.ts'
import { compare } from './compare.ts'
import { createFigure, type Figure } from './figure.ts'
import { startErrand } from './installation.ts'
import {
  createBareStart,
  createHookRepository,
  createSessionStart,
  untilReady,
} from './start-session.ts'

export const start: Benchmark = {
  name: 'start',
  about: 'submit to first model request, against bare claude -p',
  run: (context) => measure(context, 'start'),
}

export const startSandbox: Benchmark = {
  name: 'start-sandbox',
  about: 'the same with a sandbox that was started ahead, without an agent',
  run: (context) => measure(context, 'start-sandbox', ahead(0)),
}

export const startWarm: Benchmark = {
  name: 'start-warm',
  about: 'the same with an agent that was started ahead',
  run: (context) => measure(context, 'start-warm', ahead(1)),
}

function ahead(agents: number) {
  return { ERRAND_STANDBYS: '1', ERRAND_STANDBY_AGENTS: String(agents) }
}

async function measure(
  context: BenchContext,
  name: string,
  env: Record<string, string> = {},
): Promise<Figure[]> {
  const errand = await startErrand(context, env)
  const repository = await createHookRepository(context)
  const session = await createSessionStart(errand, repository)
  const bare = await createBareStart(context, errand.model, repository)
  const ours = async (round: number) => (await session(round)).durationMs
  /** Neither beside what is being started for the next session. */
  const quietly = (way: (round: number) => Promise<number>) => async (round: number) => {
    await untilReady(errand.client)
    return way(round)
  }
  const [a, b] = await compare([quietly(ours), quietly(bare)], {
    runs: context.runs,
    warmUps: 2,
    onRound: (round) => context.say(`round ${round + 1} of ${context.runs}`),
  })
  const other = { name: 'claude -p', samples: b }
  return [createFigure({ name, unit: 'ms', ours: a, benchmark: name, other })]
}
