// How long check-tools takes in a sandbox that was just made, and asked again: its versions come from the tools themselves,
// and are kept by inode and time. In the image universal where the tests have built it, otherwise in the machine's own.

import { hasUniversal, linkUniversal } from '../test/e2e/universal.ts'
import { createRepositoryUpload } from '../test/e2e/upload.ts'
import type { BenchContext, Benchmark } from './benchmark.ts'
import { createFigure, type Figure } from './figure.ts'
import { startErrand, TURN_ENDS } from './installation.ts'
import { createHookRepository } from './start-session.ts'

const NOW = 'date +%s%N'
/** Prints the microseconds of two calls. */
const TIMED = `a=$(${NOW}); check-tools --json >/tmp/first; b=$(${NOW}); check-tools --json >/tmp/again; c=$(${NOW})
cmp /tmp/first /tmp/again && grep -q '"python"' /tmp/again && echo took $(((b - a) / 1000)) $(((c - b) / 1000))`

export const checkTools: Benchmark = {
  name: 'check-tools',
  about: 'check-tools in a new sandbox, and asked again',
  run: measure,
}

async function measure(context: BenchContext): Promise<Figure[]> {
  const errand = await startErrand(context)
  const source = await createRepositoryUpload(errand, await createHookRepository(context))
  const isUniversal = await hasUniversal()
  if (isUniversal) await linkUniversal(errand.dataDir)
  const image = isUniversal
    ? { kind: 'named' as const, name: 'universal' }
    : { kind: 'host' as const }
  const { id: environment } = await errand.client.createEnvironment({ name: 'tools', image })
  const first: number[] = []
  const again: number[] = []
  // The image's files are read from disk in the first round, which is not counted.
  for (let round = -1; round < context.runs; round++) {
    context.say(`round ${round + 1} of ${context.runs}`)
    const session = { source, environment, prompt: TIMED, kind: 'command' as const }
    const { id } = await errand.client.createSession(session)
    const events = await errand.follow(id, TURN_ENDS)
    const said = events
      .map(({ body }) => (body.type === 'command.output' ? body.text : ''))
      .join('')
    const [, one, other] = /^took (\d+) (\d+)$/m.exec(said) ?? []
    if (!one || !other) throw new Error(`check-tools did not work: ${said.slice(-2_000)}`)
    await errand.client.removeSession(id)
    if (round < 0) continue
    first.push(Number(one) / 1000)
    again.push(Number(other) / 1000)
  }
  const note = isUniversal ? 'image universal' : 'image host: universal is not built here'
  const figure = (name: string, ours: number[]) =>
    createFigure({ name, unit: 'ms', ours, benchmark: 'check-tools', note })
  return [figure('check-tools-first', first), figure('check-tools', again)]
}
