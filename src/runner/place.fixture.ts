// For suites: a whole runner outside of a sandbox, with the real Claude Code and git in a folder of its own; the model is
// scripted and the gateway is a stand-in. As root it runs with IS_SANDBOX=1, like inside.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { createSampleRepository, gitEnvironment } from '../../demo/repository.ts'
import type { Scenario } from '../../demo/scenario.ts'
import { createScriptedModel, type ScriptedModel } from '../../demo/scripted-model.ts'
import { createSilentLogger } from '../lib/logger.ts'
import { runChecked } from '../lib/process.ts'
import { createId, type IdKind } from '../protocol/ids.ts'
import type { RunnerBoot, RunnerReport, RunnerSetup } from '../protocol/runner-frames.ts'
import { type AgentAhead, adoptAgent } from './agent/agent-ahead.ts'
import { CERTIFICATE_FILES, RUN_MARK } from './agent/agent-environment.ts'
import { recordStart } from './agent/agent-program.ts'
import type { AgentStart } from './agent/agent-start.ts'
import { aheadScript } from './agent/ahead-script.ts'
import { throughDoor } from './checkout/git-config.ts'
import { type FakeGateway, startFakeGateway } from './gateway.fixture.ts'
import { type Runner, type RunnerPlace, startRunner } from './runner.ts'

export const BRANCH = 'errand/test'
export const claudePath = createRequire(import.meta.url).resolve(
  `@anthropic-ai/claude-agent-sdk-${process.platform}-${process.arch}/claude`,
)

export interface Place {
  model: ScriptedModel
  gateway: FakeGateway
  setup: RunnerSetup
  checkout: string
  home: string
  upstream: string
  /** Starts a runner; a second one takes over what the first left on disk. */
  start(): Promise<void>
  /** Starts a runner that is not told its repository before `start`; resolves when it needs nothing else. */
  startAhead(agent?: RunnerBoot['agent']): Promise<void>
  /** Starts a runner whose agent was started before it; resolves with that one. `change` is made to what would be started. */
  startBehind(change?: (start: AgentStart) => void): Promise<AgentAhead>
  stop(): Promise<void>
  /** Makes a turn wanted; answers with its id. */
  ask(text: string, kind?: 'agent' | 'command'): string
  interrupt(turnId: string): void
  /** Resolves with how the turn ended; no turn is wanted after it, as a session would have it. */
  endOf(turnId: string): Promise<RunnerReport>
  git(...args: string[]): Promise<string>
  remote(...args: string[]): Promise<string>
  transcript(): Promise<string>
  transcriptPath(): Promise<string>
  /** Process ids of its agents. */
  agents(): Promise<number[]>
  /** Gives the session one more repository, made of these files; resolves with its folder inside. */
  attach(name: string, access: 'read' | 'write', files: Record<string, string>): Promise<string>
  /** Removes all that a sandbox's disk holds; no runner may be there. */
  loseDisk(): Promise<void>
  close(): Promise<void>
}

export const newId = (kind: IdKind) => createId(kind, crypto.getRandomValues(new Uint8Array(20)))

const FORGE = 'http://forge.example/shop/'

export function setupFor(commit: string, variables: Record<string, string> = {}): RunnerSetup {
  return {
    sessionId: newId('session'),
    repository: {
      name: 'cart',
      url: `${FORGE}cart`,
      commit,
      branch: BRANCH,
      baseBranch: 'main',
    },
    variables,
    identity: { name: 'Errand', email: 'errand@example.com' },
    sessionUrl: null,
  }
}

export async function createPlace(
  scenarios: Scenario[],
  variables: Record<string, string> = {},
  options: Pick<RunnerPlace, 'agentStartMs'> = {},
): Promise<Place> {
  const folder = await mkdtemp(join(tmpdir(), 'errand-runner-'))
  await mkdir(join(folder, 'home'))
  const sample = await createSampleRepository(join(folder, 'sample'))
  const upstream = join(folder, 'upstream.git')
  const env = gitEnvironment()
  await runChecked('git', ['clone', '--quiet', '--bare', sample.path, upstream], { env })
  const model = await createScriptedModel({ scenarios })
  const gateway = await startFakeGateway(join(folder, 'gateway.sock'))
  const setup = setupFor(sample.commit, variables)
  const checkout = join(folder, 'workspace', 'cart')
  const git = async (...args: string[]) =>
    (await runChecked('git', args, { cwd: checkout, env })).trim()
  let runner: Runner | undefined
  const stop = async () => {
    await runner?.stop()
    runner = undefined
  }
  const transcriptPath = async () => {
    const state = JSON.parse(await readFile(join(folder, 'state', 'state.json'), 'utf8'))
    const name = checkout.replace(/[^a-zA-Z0-9]/g, '-')
    return join(folder, 'home', '.claude', 'projects', name, `${state.conversationId}.jsonl`)
  }
  return {
    ...turnsOf(gateway),
    model,
    gateway,
    setup,
    checkout,
    home: join(folder, 'home'),
    upstream,
    git,
    remote: (...args) => git('-C', upstream, ...args),
    stop,
    async start() {
      gateway.assign(setup)
      runner ??= await startIn(folder, setup, { modelUrl: model.url, ...options })
    },
    async startAhead(agent) {
      runner = await startIn(folder, { ...setup, agent }, { modelUrl: model.url, ...options })
      await gateway.parked
    },
    async startBehind(change = () => undefined) {
      const { agent, transport, ...place } = placeIn(folder, model.url)
      const start = await recordStart({ executable: agent, transport })
      change(start)
      const pipes = join(folder, 'pipes')
      const script = aheadScript(setup, start, new Date(), { ...place, agent, pipes, transport })
      const ahead = await startAhead(script, pipes)
      gateway.assign(setup)
      runner = await startIn(folder, setup, { modelUrl: model.url, ahead })
      return ahead
    },
    transcriptPath,
    transcript: async () => readFile(await transcriptPath(), 'utf8'),
    agents: () => agentsOf(setup.sessionId),
    async attach(name, access, files) {
      const commit = await createBare(join(folder, `${name}.git`), files)
      const url = `${FORGE}${name}`
      const one = { name, url, commit, branch: BRANCH, baseBranch: 'main', access }
      setup.additional = [...(setup.additional ?? []), one]
      return join(folder, 'workspace', name)
    },
    async loseDisk() {
      for (const name of ['home', 'state', 'workspace', 'gitconfig'])
        await rm(join(folder, name), { recursive: true, force: true })
    },
    async close() {
      await stop()
      await gateway.down()
      await model.close()
      // A runner waits only so long for a save that is under way when it stops, which may still write.
      await rm(folder, { recursive: true, force: true, maxRetries: 20 })
    },
  }
}

/** Runs the script as process 1 does, which holds the pipes until they were taken over. */
export async function startAhead(script: string, pipes: string): Promise<AgentAhead> {
  const text = `ahead=\n${script}echo "$ahead"; exec cat`
  const shell = spawn('/bin/sh', ['-c', text], { stdio: ['pipe', 'pipe', 'inherit'] })
  const exited = once(shell, 'exit')
  try {
    const [pid] = await once(createInterface(shell.stdout), 'line')
    if (pid === '') throw new Error('no agent was started')
    return adoptAgent(Number(pid), pipes)
  } finally {
    shell.stdin.end()
    await exited
  }
}

/** A bare repository with one commit on `main`. */
async function createBare(target: string, files: Record<string, string>): Promise<string> {
  const env = gitEnvironment()
  const work = `${target}.work`
  const git = (...args: string[]) => runChecked('git', args, { cwd: work, env })
  await mkdir(work)
  await git('init', '--quiet', '--initial-branch=main')
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(work, path)), { recursive: true })
    await writeFile(join(work, path), text, { mode: 0o755 })
  }
  await git('add', '--all')
  await git('commit', '--quiet', '--message', 'Start')
  await git('clone', '--quiet', '--bare', work, target)
  return (await git('rev-parse', 'HEAD')).trim()
}

function turnsOf(gateway: FakeGateway): Pick<Place, 'ask' | 'interrupt' | 'endOf'> {
  let turn = { id: '', kind: 'agent' as 'agent' | 'command', text: '', interrupt: false }
  return {
    ask(text, kind = 'agent') {
      turn = { id: newId('turn'), kind, text, interrupt: false }
      gateway.direct({ turn })
      return turn.id
    },
    interrupt: (id) => gateway.direct({ turn: { ...turn, id, interrupt: true } }),
    async endOf(id) {
      const end = await Promise.race([
        gateway.wait('turn.completed', ({ turnId }) => turnId === id),
        gateway.wait('turn.failed', ({ turnId }) => turnId === id),
        gateway.wait('turn.interrupted', ({ turnId }) => turnId === id),
      ])
      gateway.direct({ turn: null, answers: {} })
      return end
    },
  }
}

/** Without what one of them has just forked: until it runs another program it looks the same. */
async function agentsOf(sessionId: string): Promise<number[]> {
  const found = new Map<number, number>()
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const [program, environment, status] = await Promise.all([
      readlink(`/proc/${pid}/exe`).catch(() => ''),
      readFile(`/proc/${pid}/environ`, 'latin1').catch(() => ''),
      readFile(`/proc/${pid}/status`, 'utf8').catch(() => ''),
    ])
    if (program === claudePath && environment.includes(`${RUN_MARK}=${sessionId}/`))
      found.set(Number(pid), Number(/^PPid:\t(\d+)$/m.exec(status)?.[1]))
  }
  return [...found].filter(([, parent]) => !found.has(parent)).map(([pid]) => pid)
}

function startIn(
  folder: string,
  boot: RunnerBoot,
  { modelUrl, ...more }: { modelUrl: string; ahead?: AgentAhead; agentStartMs?: number },
): Promise<Runner> {
  return startRunner(boot, { ...placeIn(folder, modelUrl), ...more }, createSilentLogger())
}

function placeIn(folder: string, modelUrl: string) {
  const gitConfigPath = join(folder, 'gitconfig')
  return {
    doorSocket: join(folder, 'gateway.sock'),
    stateFolder: join(folder, 'state'),
    workspace: join(folder, 'workspace'),
    gitConfigPath,
    agent: claudePath,
    inherited: {
      ...gitEnvironment(),
      ...ledTo(folder),
      HOME: join(folder, 'home'),
      GIT_CONFIG_NOSYSTEM: '0',
      GIT_CONFIG_SYSTEM: gitConfigPath,
      CLAUDE_CODE_MAX_RETRIES: '1',
    },
    transport: {
      ANTHROPIC_BASE_URL: modelUrl,
      ANTHROPIC_API_KEY: 'errand-placeholder',
      IS_SANDBOX: '1',
      CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
      DISABLE_AUTOUPDATER: '1',
    },
    certificates: CERTIFICATE_FILES.find((path) => existsSync(path)) ?? null,
    ownsProcesses: false,
    gitSource: join(folder, 'upstream.git'),
    additionalSource: (name: string) => join(folder, `${name}.git`),
  }
}

/** As the gateway leads plain addresses to the door: here to the repositories of the folder. */
function ledTo(folder: string): Record<string, string> {
  const others = throughDoor({}, { url: FORGE, source: `${folder}/` })
  return throughDoor(others, { url: `${FORGE}cart`, source: join(folder, 'upstream.git') })
}

/** Uses one tool when it is asked by that name. */
export const asksWith = (name: string, tool: string, input: Record<string, unknown>): Scenario => ({
  name,
  about: 'Uses one tool and says what came of it.',
  turns: [
    {
      prompt: name,
      steps: [{ say: 'I try it.', use: [{ tool, input }] }, { say: 'It said: {{lastToolResult}}' }],
    },
  ],
})
