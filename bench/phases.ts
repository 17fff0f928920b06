// What a start is made of: the parts between submit and first model request, each with its own figure.
import type { BenchContext, Benchmark } from './benchmark.ts'
import { compare } from './compare.ts'
import { createFigure, type Figure } from './figure.ts'
import { startErrand } from './installation.ts'
import { createHookRepository, createSessionStart, untilReady } from './start-session.ts'
import { LAST_PART, PARTS, traceOf } from './trace.ts'

export const phases: Benchmark = {
  name: 'phases',
  about: 'what a start is made of, by the times of its events',
  run: (context) => measure(context, 'phases'),
}

export const phasesWarm: Benchmark = {
  name: 'phases-warm',
  about: 'the same with an agent that was started ahead',
  run: (context) => measure(context, 'phases-warm', { ERRAND_STANDBYS: '1' }),
}

async function measure(
  context: BenchContext,
  benchmark: string,
  env: Record<string, string> = {},
): Promise<Figure[]> {
  const errand = await startErrand(context, env)
  const session = await createSessionStart(errand, await createHookRepository(context))
  const parts = new Map<string, number[]>()
  const traced = async (round: number) => {
    await untilReady(errand.client)
    const started = await session(round)
    if (round >= 0)
      for (const [name, ms] of traceOf(started.events, started))
        parts.set(name, [...(parts.get(name) ?? []), ms])
    return started.durationMs
  }
  const [whole] = await compare([traced], {
    runs: context.runs,
    warmUps: 2,
    onRound: (round) => context.say(`round ${round + 1} of ${context.runs}`),
  })
  const figures = [...PARTS, LAST_PART].flatMap(({ name, about: note }) => {
    const ours = parts.get(name)
    if (!ours) return []
    return [createFigure({ name: `${benchmark}-${name}`, unit: 'ms', ours, benchmark, note })]
  })
  return [
    ...figures,
    createFigure({ name: `${benchmark}-total`, unit: 'ms', ours: whole, benchmark }),
  ]
}
