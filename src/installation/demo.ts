// `errand demo`: the main job on embedded defaults, in a data folder of its own that is taken away again. The model is the
// scripted one unless a key is set; everything else is what `errand run` does.
import { once } from 'node:events'
import { join } from 'node:path'
import { createSampleRepository } from '../../demo/repository.ts'
import { loadScenarios } from '../../demo/scenario.ts'
import { createScriptedModel } from '../../demo/scripted-model.ts'
import type { Cli } from '../cli/command.ts'
import { runTask } from '../cli/commands/run.ts'
import type { Connection } from '../cli/deps.ts'
import { exitCodeOf, type RunResult } from '../cli/result.ts'
import { paintDiff } from '../cli/terminal/paint.ts'
import { plainLine, plainText } from '../cli/terminal/plain-text.ts'
import { scriptedModel } from '../config.ts'
import { isUpstream, readUpstream } from '../model/upstream.ts'
import { AppError } from '../protocol/errors.ts'
import { connectTo, startInBackground } from './connect.ts'
import { inOwnFolder, shortLivedConfig, takeDown } from './short-lived.ts'

export interface DemoOptions {
  json?: boolean
  scenario: string
}

const PROMPT = 'make the failing test pass'
const TEST_COMMAND = 'node --test'
/** Milliseconds between two pieces of text, so that a person can watch it being written. */
const WATCHABLE_PACE_MS = 12
const VERIFY_LIMIT_MS = 120_000

export function runDemo(cli: Cli, options: DemoOptions): Promise<void> {
  return inOwnFolder(cli, 'errand-demo', (folder, signal) => playDemo(cli, folder, options, signal))
}

async function playDemo(
  cli: Cli,
  folder: string,
  options: DemoOptions,
  signal: AbortSignal,
): Promise<void> {
  const say = (line = '') => {
    if (!options.json && !signal.aborted) cli.deps.stdout.write(`${line}\n`)
  }
  const base = shortLivedConfig(folder)
  const isLive = isUpstream(readUpstream(base.model))
  say(
    isLive
      ? 'Model: live, with your key.'
      : 'Model: scripted. No key is set, so the model plays a scenario; all else is real.',
  )
  const model = isLive ? undefined : await startModel(cli, options)
  const config = model ? { ...base, model: scriptedModel(model.url) } : base
  const repository = join(folder, 'cart')
  try {
    await createSampleRepository(repository)
    const started = await startInBackground(config)
    signal.throwIfAborted()
    const connection = await connectTo(config)
    const result = await runDemoTask(cli, connection, {
      repository,
      isJson: options.json === true,
      say,
    })
    signal.throwIfAborted()
    const tests = await verify(connection, result, signal)
    await show(cli, connection, { result, tests, options, model: isLive ? 'live' : 'scripted' })
    cli.setExitCode(tests.passed ? 0 : Math.max(1, exitCodeOf(result)))
    if (cli.deps.stdout.isTTY && !options.json) {
      say(`\nLook around: ${started.loginUrl}\nCtrl-C ends the demo and takes everything away.`)
      await once(signal, 'abort')
    }
  } finally {
    await takeDown(config)
    await model?.close()
  }
}

function startModel({ deps }: Cli, { scenario, json }: DemoOptions) {
  const paceMs = deps.stdout.isTTY && !json ? WATCHABLE_PACE_MS : 0
  return createScriptedModel({ scenarios: readScenario(scenario), paceMs })
}

function readScenario(name: string) {
  try {
    return loadScenarios([name])
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    const message = `There is no scenario ${name} in demo/scenarios.`
    throw new AppError('not_found', 'scenario_not_found', message)
  }
}

interface DemoTask {
  repository: string
  isJson: boolean
  say(line?: string): void
}

/** What `errand run` does, shown as it shows it; the result is printed by the demo. */
function runDemoTask(
  cli: Cli,
  connection: Connection,
  { repository, isJson, say }: DemoTask,
): Promise<RunResult> {
  const print = { isJson, line: say, hint: () => undefined, note: say, json: () => undefined }
  return runTask(cli, PROMPT, { connection, print, options: { repo: [repository] } })
}

interface Tests {
  passed: boolean
  summary: string
}

/** Runs the tests on a fresh clone of the pushed commit in a second sandbox. */
async function verify(
  { client }: Connection,
  { sessionId, commit }: RunResult,
  ended: AbortSignal,
): Promise<Tests> {
  if (!commit) return { passed: false, summary: 'nothing was pushed, so there is nothing to test' }
  const source = { kind: 'session' as const, sessionId }
  const session = await client.createSession({
    prompt: TEST_COMMAND,
    kind: 'command',
    source,
    baseBranch: commit,
  })
  const signal = AbortSignal.any([ended, AbortSignal.timeout(VERIFY_LIMIT_MS)])
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
  ended.throwIfAborted()
  throw new AppError('timeout', 'verify_timeout', 'The tests did not end in the second sandbox.')
}

async function show(
  { deps: { stdout, stderr } }: Cli,
  { client }: Connection,
  shown: { result: RunResult; tests: Tests; options: DemoOptions; model: 'scripted' | 'live' },
): Promise<void> {
  const { result, tests, options, model } = shown
  if (options.json && !tests.passed) stderr.write(`errand: tests: ${plainLine(tests.summary)}\n`)
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
  stdout.write(`commit   ${result.commit ?? 'none'}\n`)
  stdout.write(`sandbox  ${result.isolation ?? 'none'}\n`)
  stdout.write(`tests    ${tests.summary}\n`)
  if (!result.commit) return
  const { patch } = await client.getDiff(result.sessionId)
  stdout.write(`\n${stdout.isTTY ? paintDiff(stdout, plainText(patch)) : patch}`)
}
