// Starts the agent's process, with what only the SDK knows written down at build time, so that the first lines of the runner
// can do it: the agent boots while the rest of the runner loads, connects and makes the checkout. Imports little for that.
import { type ChildProcess, type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { SpawnOptions as AskedSpawn } from '@anthropic-ai/claude-agent-sdk'
import type { RunnerBoot } from '../../protocol/runner-frames.ts'
import {
  buildVariables,
  certificateVariables,
  RUN_MARK,
  type Variables,
} from './agent-environment.ts'
import { prepareHome } from './agent-home.ts'

/** What the SDK starts for an agent that waits for its folder, without what the place adds: settings and environment. */
export interface AgentStart {
  args: string[]
  env: Variables
}

/** The environment holds RUN_MARK. */
export type AgentCommand = Pick<AskedSpawn, 'command' | 'args' | 'cwd' | 'env'>

export interface EarlyAgent {
  command: AgentCommand
  child: ChildProcessWithoutNullStreams
}

export interface EarlyPlace {
  agent: string
  stateFolder: string
  inherited: Variables
  transport: Variables
  certificates: string | null
}

/** What the runner remembers: it is there once a conversation has begun. */
export function stateFile(stateFolder: string): string {
  return join(stateFolder, 'state.json')
}

/** Where an agent waits for its folder: nothing is ever in there. */
export function parkedFolder(stateFolder: string): string {
  return join(stateFolder, 'parked')
}

/** In a group of its own, so that it can be ended with what it started. */
export function spawnAgent({ command, args, cwd, env }: AgentCommand) {
  return spawn(command, args, { cwd, env, stdio: ['pipe', 'pipe', 'pipe'], detached: true })
}

/** False also for one that could not be started. */
export function isRunning(child: ChildProcess | undefined): boolean {
  return child?.pid !== undefined && child.exitCode === null && child.signalCode === null
}

/**
 * Where the agent is certain to be new: there is no conversation yet. Whether it can be used is found out later, so that
 * nothing that goes wrong here does more than cost time.
 */
export function startEarly(
  boot: Pick<RunnerBoot, 'sessionId' | 'variables' | 'purpose' | 'agent'>,
  start: AgentStart,
  { agent, stateFolder, inherited, transport, certificates }: EarlyPlace,
): EarlyAgent | undefined {
  if (boot.purpose === 'layer' || boot.agent === 'needed') return undefined
  if (existsSync(stateFile(stateFolder))) return undefined
  const variables = buildVariables(
    boot,
    { ...certificateVariables(certificates), ...inherited },
    transport,
  )
  const mark = { [RUN_MARK]: `${boot.sessionId}/${randomUUID()}` }
  const cwd = parkedFolder(stateFolder)
  const command = {
    command: agent,
    args: withTransport(start.args, transport),
    cwd,
    env: { ...variables, ...mark, ...start.env },
  }
  mkdirSync(cwd, { recursive: true, mode: 0o700 })
  prepareHome(variables, new Date())
  const child = spawnAgent(command)
  // Whoever takes it looks whether it lives.
  child.on('error', () => undefined)
  return { command, child }
}

/** The settings are given as one argument, with the variables that nothing may change. */
function withTransport(args: string[], transport: Variables): string[] {
  const at = args.indexOf('--settings') + 1
  const settings = JSON.parse(args[at] ?? '{}') as object
  return args.with(at, JSON.stringify({ ...settings, env: transport }))
}
