// Runs the suites: all of them, or those named. `check` is lint, types, unused code and unit tests, as `npm run check`.
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..')
const SUITES = ['unit', 'conformance', 'e2e', 'machine', 'faults', 'browser'] as const
const CHECKS: [string, ...string[]][] = [
  ['biome', 'ci'],
  ['tsc', '-p', 'tsconfig.json'],
  ['tsc', '-p', 'web/tsconfig.json'],
  ['knip'],
]

const asked = process.argv.slice(2)
const unknown = asked.filter((name) => name !== 'check' && !SUITES.some((suite) => suite === name))
if (unknown.length > 0) {
  process.stderr.write(
    `errand test: there is no suite ${unknown.join(', ')}. Suites: check, ${SUITES.join(', ')}.\n`,
  )
  process.exit(2)
}
const everything = asked.length === 0

function run(program: string, args: string[]): void {
  const bin = join(root, 'node_modules/.bin', program)
  const { status } = spawnSync(bin, args, { cwd: root, stdio: 'inherit' })
  if (status !== 0) process.exit(status ?? 1)
}

if (everything || asked.includes('check'))
  for (const [program, ...args] of CHECKS) run(program, args)
const suites = SUITES.filter(
  (suite) => everything || asked.includes(suite) || (suite === 'unit' && asked.includes('check')),
)
if (suites.length > 0) run('vitest', ['run', ...suites.flatMap((suite) => ['--project', suite])])
