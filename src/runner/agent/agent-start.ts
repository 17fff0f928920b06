// What is started for an agent, known without the SDK, since that is written down at build time.
import { type ChildProcess, spawn } from 'node:child_process'
import type { EventEmitter } from 'node:events'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import type { SpawnOptions as AskedSpawn } from '@anthropic-ai/claude-agent-sdk/core'
import type { Variables } from './agent-environment.ts'

/** What the SDK starts for an agent that waits for its folder, without what the place adds: settings and environment. */
export interface AgentStart {
  args: string[]
  env: Variables
}

/** The environment holds RUN_MARK. */
export type AgentCommand = Pick<AskedSpawn, 'command' | 'args' | 'cwd' | 'env'>

/** Leads a group of its own, by which it is ended with what it started. */
export type AgentChild = EventEmitter &
  Pick<ChildProcess, 'pid' | 'exitCode' | 'signalCode' | 'killed'> & {
    stdin: Writable
    stdout: Readable
    stderr: Readable
    kill(signal?: NodeJS.Signals): boolean
  }

/** What the runner remembers: it is there once a conversation has begun. */
export function stateFile(stateFolder: string): string {
  return join(stateFolder, 'state.json')
}

/** Where an agent waits for its folder: nothing is ever in there. */
export function parkedFolder(stateFolder: string): string {
  return join(stateFolder, 'parked')
}

export function spawnAgent({ command, args, cwd, env }: AgentCommand): AgentChild {
  return spawn(command, args, { cwd, env, stdio: ['pipe', 'pipe', 'pipe'], detached: true })
}

/** False also for one that could not be started. */
export function isRunning(child: AgentChild | undefined): boolean {
  return child?.pid !== undefined && child.exitCode === null && child.signalCode === null
}
