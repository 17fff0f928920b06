// From submit to the first output of a command, on an environment whose setup script has run (hit) against one whose script
// has to run (miss). The script itself does next to nothing: what is measured is the making of a layer around it.

import { createRepositoryUpload } from '../test/e2e/upload.ts'
import type { BenchContext, Benchmark } from './benchmark.ts'
import { compare } from './compare.ts'
import { createFigure, type Figure } from './figure.ts'
import { type BenchErrand, startErrand, TURN_ENDS } from './installation.ts'
import { createHookRepository } from './start-session.ts'

const MADE = 'made by the script'
const SETUP = `mkdir -p /opt/made && echo "${MADE}" > /opt/made/file`

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
    return run(errand, source, await newEnvironment(`miss ${made}`, `${SETUP} # ${made}`))
  }
  const hit = () => run(errand, source, ready)
  const without = () => run(errand, source, none, 'echo "made by the script"')
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

async function run(
  errand: BenchErrand,
  source: { kind: 'upload'; uploadId: string },
  environment: string,
  prompt = 'cat /opt/made/file',
): Promise<number> {
  const startedAt = performance.now()
  const session = { source, environment, prompt, kind: 'command' as const }
  const { id } = await errand.client.createSession(session)
  const events = await errand.follow(id, ['command.output', ...TURN_ENDS])
  const durationMs = performance.now() - startedAt
  const last = events.at(-1)?.body
  if (last?.type !== 'command.output' || !last.text.includes(MADE))
    throw new Error(`the command did not find what the script made: ${JSON.stringify(last)}`)
  await errand.follow(id, TURN_ENDS)
  await errand.client.removeSession(id)
  return durationMs
}
