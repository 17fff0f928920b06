// From submit to the first output of a command, on an environment whose setup script has run (hit) against one whose script
// has to run (miss). The script itself does next to nothing: what is measured is the making of a layer around it.

import { createRepositoryUpload } from '../test/e2e/upload.ts'
import type { BenchContext, Benchmark } from './benchmark.ts'
import { compare } from './compare.ts'
import { createFigure, type Figure } from './figure.ts'
import { type BenchErrand, startErrand } from './installation.ts'
import { type LayerSession, MADE, runOnLayer, SETUP } from './layer-session.ts'
import { createHookRepository } from './start-session.ts'

export const layer: Benchmark = {
  name: 'layer',
  about:
    'a session on a setup layer that is there, against one that is made first, and against none',
  run: measure,
}

async function measure(context: BenchContext): Promise<Figure[]> {
  const errand = await startErrand(context)
  const source = await createRepositoryUpload(errand, await createHookRepository(context))
  const newEnvironment = async (name: string, setup: string) =>
    (await errand.client.createEnvironment({ name, setup })).id
  const ready = await newEnvironment('ready', SETUP)
  const none = await newEnvironment('none', '')
  let made = 0
  const miss = async () => {
    made += 1
    const environment = await newEnvironment(`miss ${made}`, `${SETUP} # ${made}`)
    return run(errand, { source, environment })
  }
  const hit = () => run(errand, { source, environment: ready })
  const without = () => run(errand, { source, environment: none, prompt: `echo "${MADE}"` })
  const [hits, misses, plain] = await compare([hit, miss, without], {
    runs: context.runs,
    warmUps: 2,
    onRound: (round) => context.say(`round ${round + 1} of ${context.runs}`),
  })
  const figure = (name: string, other: { name: string; samples: number[] }) =>
    createFigure({ name, unit: 'ms', ours: hits, benchmark: 'layer', other })
  return [
    figure('layer', { name: 'a layer that is made first', samples: misses }),
    figure('layer-cost', { name: 'no setup script', samples: plain }),
  ]
}

async function run(errand: BenchErrand, session: LayerSession): Promise<number> {
  const { id, durationMs } = await runOnLayer(errand, session)
  await errand.client.removeSession(id)
  return durationMs
}
