// `errand bench [NAME…] [--json] [--runs N]`: takes the figures, one benchmark after the other, and prints them as a table or
// as JSON. Exits with 1 when one could not be taken; a target that is missed is told by the figure.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { createShutdown, type Shutdown } from '../src/lib/shutdown.ts'
import { atOnce } from './at-once.ts'
import type { Benchmark } from './benchmark.ts'
import { checkTools } from './check-tools.ts'
import { checkout } from './checkout.ts'
import { clone } from './clone.ts'
import { download } from './download.ts'
import { driver } from './driver.ts'
import { event } from './event.ts'
import type { Figure } from './figure.ts'
import { layer } from './layer.ts'
import { memory } from './memory.ts'
import { phases, phasesWarm } from './phases.ts'
import { start, startSandbox, startWarm } from './start.ts'
import { renderTable } from './table.ts'
import { LEAST_RUNS } from './targets.ts'

const BENCHMARKS = [
  start,
  startSandbox,
  startWarm,
  phases,
  phasesWarm,
  driver,
  clone,
  download,
  event,
  memory,
  layer,
  checkout,
  atOnce,
  checkTools,
]
const STOP_LIMIT_MS = 60_000
const EXIT = { failed: 1, usage: 2 }

const say = (text: string) => process.stderr.write(`${text}\n`)

const { values, positionals } = readArguments()
const runs = Number(values.runs)
const unknown = positionals.filter((name) => !BENCHMARKS.some((one) => one.name === name))
if (values.help || unknown.length > 0 || !Number.isInteger(runs) || runs < 1) {
  for (const name of unknown) say(`errand bench: there is no benchmark ${name}.`)
  say('Usage: errand bench [NAME…] [--json] [--runs N]\n')
  const width = Math.max(...BENCHMARKS.map(({ name }) => name.length))
  for (const { name, about } of BENCHMARKS) say(`  ${name.padEnd(width)}  ${about}`)
  say(`\nFewer than ${LEAST_RUNS} runs are for a quick try and marked as such.`)
  process.exit(values.help ? 0 : EXIT.usage)
}
if (process.getuid?.() !== 0) {
  say('errand bench: sandboxes and network namespaces are made, so run it as root.')
  process.exit(EXIT.usage)
}

const asked = BENCHMARKS.filter(
  ({ name }) => positionals.length === 0 || positionals.includes(name),
)
let current: Shutdown | undefined
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => void current?.run().finally(() => process.exit(EXIT.failed)))

const figures: Figure[] = []
let failed = false
for (const benchmark of asked) {
  try {
    figures.push(...(await take(benchmark)))
  } catch (error) {
    failed = true
    say(`${benchmark.name}: ${error instanceof Error ? error.stack : String(error)}`)
  }
}
process.stdout.write(values.json ? `${JSON.stringify(figures, null, 2)}\n` : renderTable(figures))
process.exit(failed ? EXIT.failed : 0)

async function take(benchmark: Benchmark): Promise<Figure[]> {
  const folder = await mkdtemp(join(tmpdir(), 'errand-bench-'))
  const shutdown = createShutdown(STOP_LIMIT_MS, (step, error) =>
    say(`${benchmark.name}: could not end ${step}: ${String(error)}`),
  )
  current = shutdown
  shutdown.add('folder', () => rm(folder, { recursive: true, force: true }))
  const told = (text: string) => say(`${benchmark.name}: ${text}`)
  try {
    return await benchmark.run({ runs, folder, shutdown, say: told })
  } finally {
    await shutdown.run()
    current = undefined
  }
}

function readArguments() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        json: { type: 'boolean', default: false },
        runs: { type: 'string', default: String(LEAST_RUNS) },
        help: { type: 'boolean', short: 'h', default: false },
      },
    })
  } catch (error) {
    say(`errand bench: ${error instanceof Error ? error.message : String(error)}`)
    process.exit(EXIT.usage)
  }
}
