// What a start is made of: the parts between submit and first model request, each with its own figure.
import type { Benchmark } from './benchmark.ts'
import { compare } from './compare.ts'
import { createFigure } from './figure.ts'
import { startErrand } from './installation.ts'
import { createHookRepository, createSessionStart } from './start-session.ts'
import { LAST_PART, PARTS, traceOf } from './trace.ts'

export const phases: Benchmark = {
  name: 'phases',
  about: 'what a start is made of, by the times of its events',
  run: async (context) => {
    const errand = await startErrand(context)
    const session = await createSessionStart(errand, await createHookRepository(context))
    const parts = new Map<string, number[]>()
    const traced = async (round: number) => {
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
      return [createFigure({ name: `phases-${name}`, unit: 'ms', ours, benchmark: 'phases', note })]
    })
    const total = { name: 'phases-total', unit: 'ms', ours: whole, benchmark: 'phases' }
    return [...figures, createFigure(total)]
  },
}
