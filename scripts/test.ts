// Runs the suites: all of them, or those named. `check` is lint, types, unused code and unit tests, as `npm run check`.
// What failed is said once more at the end, where nobody has to look for it.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runProcess } from '../src/lib/process.ts'
import { hasUniversal, universalDataDir } from '../test/e2e/universal.ts'
import { readFailures } from './test-failures.ts'

const root = join(import.meta.dirname, '..')
const SUITES = ['unit', 'conformance', 'attack', 'e2e', 'machine', 'faults', 'browser'] as const
/** Its packets stay where they are sent from. */
const OWN_NETWORK = 'scripts/own-network.sh'
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
const failures: string[] = []

/** Goes on after a failure, which is the exit code at the end. */
async function run(program: string, args: string[], before: string[] = []): Promise<void> {
  const [command = '', ...rest] = [...before, join(root, 'node_modules/.bin', program), ...args]
  const [code] = await once(spawn(command, rest, { cwd: root, stdio: 'inherit' }), 'exit')
  if (code !== 0) process.exitCode = code ?? 1
}

/** Beside each other and beside the first suite, whose tests wait for much; what they say comes in their order. */
async function runChecks(): Promise<string> {
  const running = CHECKS.map(([program, ...args]) =>
    runProcess(join(root, 'node_modules/.bin', program), args, { cwd: root }),
  )
  const ends = await Promise.all(running)
  if (ends.some(({ exitCode }) => exitCode !== 0)) process.exitCode = 1
  return ends.map(({ stdout, stderr }) => stdout + stderr).join('')
}

/** Built once for its definition, beside the suites that do not need it: most of it is waiting for registries. */
function startImage(dataDir: string): Promise<void> {
  const errand = [process.execPath, join(root, 'src/main.js')]
  const build = ['image', 'build', 'universal', '--data', dataDir]
  const child = spawn('nice', ['-n', '10', ...errand, ...build], { cwd: root, stdio: 'inherit' })
  return once(child, 'exit').then(([code]) => {
    if (code !== 0) process.exit(code ?? 1)
  })
}

async function runSuites(names: readonly string[]): Promise<void> {
  const others = names.filter((name) => name !== 'attack')
  if (others.length > 0) await runTests(others)
  if (others.length < names.length) await runTests(['attack'], [join(root, OWN_NETWORK)])
}

async function runTests(projects: string[], before: string[] = []): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'errand-test-'))
  const report = join(folder, 'report.json')
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`]
  const named = projects.flatMap((name) => ['--project', name])
  try {
    await run('vitest', ['run', ...reporters, ...named], before)
    failures.push(...readFailures(report, root))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const suites = SUITES.filter(
  (suite) => everything || asked.includes(suite) || (suite === 'unit' && asked.includes('check')),
)
const isMissing = suites.includes('e2e') && !(await hasUniversal())
const universalDir = await universalDataDir()
const image = isMissing ? startImage(universalDir) : undefined

const checks = everything || asked.includes('check') ? runChecks() : undefined
const before = image
  ? suites.filter((suite) => suite === 'unit' || suite === 'conformance' || suite === 'attack')
  : []
await runSuites(before)
await image
await runSuites(suites.filter((suite) => before.every((done) => done !== suite)))
process.stdout.write((await checks) ?? '')
if (failures.length > 0)
  process.stdout.write(`\nFailed: ${failures.length}\n\n${failures.join('\n\n')}\n`)
