// `errand demo`: the main job on embedded defaults, in a data folder of its own that is taken away again. The model is the
// scripted one unless a key is set; everything else is what `errand run` does.
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Command } from 'commander'
import { createSampleRepository } from '../demo/repository.ts'
import { loadScenarios } from '../demo/scenario.ts'
import { createScriptedModel } from '../demo/scripted-model.ts'
import type { Cli } from './cli/command.ts'
import type { Connection } from './cli/deps.ts'
import type { RunResult } from './cli/result.ts'
import { runTask } from './cli/run.ts'
import { type Config, readConfig, scriptedModel } from './config.ts'
import { connectTo, startInBackground } from './connect.ts'
import { AppError } from './protocol/errors.ts'
import { findInstance } from './up.ts'

interface DemoOptions {
  json?: boolean
  scenario: string
}

const PROMPT = 'make the failing test pass'
const TEST_COMMAND = 'node --test'
/** Milliseconds between two pieces of text, so that a person can watch it being written. */
const WATCHABLE_PACE_MS = 12
const VERIFY_LIMIT_MS = 120_000

export function addDemoCommand(program: Command, cli: Cli): void {
  program
    .command('demo')
    .description('see a failing test being fixed, without an account or a key')
    .option('--json', 'print one JSON object and nothing else')
    .option('--scenario <name>', 'what the scripted model plays', 'fix-failing-test')
    .action(async (options: DemoOptions) => {
      const parent = join(dirname(readConfig().dataDir), 'errand-demo')
      await mkdir(parent, { recursive: true })
      const folder = await mkdtemp(join(parent, 'd-'))
      try {
        await playDemo(cli, folder, options)
      } finally {
        await rm(folder, { recursive: true, force: true })
      }
    })
}

async function playDemo(cli: Cli, folder: string, options: DemoOptions): Promise<void> {
  const say = (line: string) => {
    if (!options.json) cli.deps.stdout.write(`${line}\n`)
  }
  const base = readConfig({ dataDir: join(folder, 'data'), port: 0 })
  const isLive = base.model.apiKey !== undefined || base.model.authToken !== undefined
  say(
    isLive
      ? 'Model: live, with your key.'
      : 'Model: scripted. No key is set, so the model plays a scenario; all else is real.',
  )
  const model = isLive ? undefined : await startModel(cli, options)
  const config = model ? { ...base, model: scriptedModel(model.url) } : base
  const repository = join(folder, 'cart')
  await createSampleRepository(repository)
  const started = await startInBackground(config)
  try {
    const connection = await connectTo(config)
    const result = await runDemoTask(cli, connection, { repository, options })
    const tests = await verify(connection, result)
    await show(cli, connection, { result, tests, options, model: isLive ? 'live' : 'scripted' })
    cli.setExitCode(tests.passed ? 0 : 1)
    if (cli.deps.stdout.isTTY && !options.json) {
      say(`\nLook around: ${started.loginUrl}\nCtrl-C ends the demo and takes everything away.`)
      await new Promise<void>((resolve) => cli.deps.onInterrupt(resolve))
    }
  } finally {
    await takeDown(config)
    await model?.close()
  }
}

function startModel({ deps }: Cli, { scenario, json }: DemoOptions) {
  const paceMs = deps.stdout.isTTY && !json ? WATCHABLE_PACE_MS : 0
  return createScriptedModel({ scenarios: loadScenarios([scenario]), paceMs })
}

/** What `errand run` does, shown as it shows it; the result is printed by the demo. */
function runDemoTask(
  cli: Cli,
  connection: Connection,
  { repository, options }: { repository: string; options: DemoOptions },
): Promise<RunResult> {
  const isJson = options.json === true
  const line = (text = '') => {
    if (!isJson) cli.deps.stdout.write(`${text}\n`)
  }
  const print = { isJson, line, note: line, json: () => undefined }
  return runTask(cli, PROMPT, { connection, print, options: { repo: repository } })
}

interface Tests {
  passed: boolean
  summary: string
}

/** Runs the tests on a fresh clone of the pushed commit in a second sandbox. */
async function verify({ client }: Connection, { sessionId, commit }: RunResult): Promise<Tests> {
  if (!commit) return { passed: false, summary: 'nothing was pushed, so there is nothing to test' }
  const source = { kind: 'session' as const, sessionId }
  const session = await client.createSession({
    prompt: TEST_COMMAND,
    kind: 'command',
    source,
    baseBranch: commit,
  })
  const signal = AbortSignal.timeout(VERIFY_LIMIT_MS)
  for await (const item of client.followEvents(session.id, { signal })) {
    if (item.kind !== 'event') continue
    const { body } = item.event
    if (body.type === 'turn.completed') {
      const passed = body.exitCode === 0
      return {
        passed,
        summary: passed
          ? 'pass on a fresh clone in a second sandbox'
          : `fail with exit code ${body.exitCode}`,
      }
    }
    if (body.type === 'session.failed' || body.type === 'turn.failed')
      return { passed: false, summary: body.message }
  }
  throw new AppError('timeout', 'verify_timeout', 'The tests did not end in the second sandbox.')
}

async function show(
  { deps: { stdout } }: Cli,
  { client }: Connection,
  shown: { result: RunResult; tests: Tests; options: DemoOptions; model: 'scripted' | 'live' },
): Promise<void> {
  const { result, tests, options, model } = shown
  if (options.json) {
    const {
      sessionId,
      status,
      branch,
      commit,
      filesChanged,
      insertions,
      deletions,
      durationMs,
      phases,
      isolation,
      url,
    } = result
    const counts = { filesChanged, insertions, deletions, durationMs, phases }
    stdout.write(
      `${JSON.stringify({ sessionId, status, branch, commit, ...counts, model, isolation, url })}\n`,
    )
    return
  }
  const { patch } = await client.getDiff(result.sessionId)
  stdout.write(`commit   ${result.commit ?? 'none'}\n`)
  stdout.write(`sandbox  ${result.isolation ?? 'none'}\n`)
  stdout.write(`tests    ${tests.summary}\n\n${patch}`)
}

async function takeDown(config: Config): Promise<void> {
  const { client } = await connectTo(config)
  const { sessions } = await client.listSessions()
  await Promise.all(sessions.map(({ id }) => client.removeSession(id)))
  const instance = await findInstance(config)
  if (!instance) return
  process.kill(instance.pid, 'SIGTERM')
  while (await findInstance(config)) await new Promise((resolve) => setTimeout(resolve, 50))
}
