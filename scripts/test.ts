// Runs the suites: all of them, or those named. `check` is lint, types, unused code and unit tests, as `npm run check`.
// What failed is said once more at the end, where nobody has to look for it.
import { spawn, spawnSync } from 'node:child_process'
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
function run(program: string, args: string[], before: string[] = []): void {
  const [command = '', ...rest] = [...before, join(root, 'node_modules/.bin', program), ...args]
  const { status } = spawnSync(command, rest, { cwd: root, stdio: 'inherit' })
  if (status !== 0) process.exitCode = status ?? 1
}

/** Beside each other, since most of them use one processor; what they say comes in their order. */
async function runChecks(): Promise<void> {
  const running = CHECKS.map(([program, ...args]) =>
    runProcess(join(root, 'node_modules/.bin', program), args, { cwd: root }),
  )
  for (const { exitCode, stdout, stderr } of await Promise.all(running)) {
    process.stdout.write(stdout + stderr)
    if (exitCode !== 0) process.exitCode = 1
  }
}

/**
 * Built once for its definition, beside the suites that do not need it: most of it is waiting for registries. It begins at
 * once, since what runs the suites leaves this program no time to begin anything.
 */
function startImage(dataDir: string): Promise<void> {
  const errand = [process.execPath, join(root, 'src/main.ts')]
  const build = ['image', 'build', 'universal', '--data', dataDir]
  const child = spawn('nice', ['-n', '10', ...errand, ...build], { cwd: root, stdio: 'inherit' })
  return once(child, 'exit').then(([code]) => {
    if (code !== 0) process.exit(code ?? 1)
  })
}

function runSuites(names: readonly string[]): void {
  const others = names.filter((name) => name !== 'attack')
  if (others.length > 0) runTests(others)
  if (others.length < names.length) runTests(['attack'], [join(root, OWN_NETWORK)])
}

function runTests(projects: string[], before: string[] = []): void {
  const folder = mkdtempSync(join(tmpdir(), 'errand-test-'))
  const report = join(folder, 'report.json')
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`]
  const named = projects.flatMap((name) => ['--project', name])
  try {
    run('vitest', ['run', ...reporters, ...named], before)
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

if (everything || asked.includes('check')) await runChecks()
const before = image
  ? suites.filter((suite) => suite === 'unit' || suite === 'conformance' || suite === 'attack')
  : []
runSuites(before)
await image
runSuites(suites.filter((suite) => before.every((done) => done !== suite)))
if (failures.length > 0)
  process.stdout.write(`\nFailed: ${failures.length}\n\n${failures.join('\n\n')}\n`)
