// How Claude Code is started: the same for one that has a folder at once and for one that is started ahead of its work.
// Everything here is fixed for the life of the process.
import { randomUUID } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import {
  type CanUseTool,
  type Options,
  prewarm,
  type SdkPluginConfig,
  type SpareProcess,
} from '@anthropic-ai/claude-agent-sdk/core'
import type { AdditionalSettings } from './additional-settings.ts'
import type { AgentAhead } from './agent-ahead.ts'
import { RUN_MARK, type Variables } from './agent-environment.ts'
import { prepareHome } from './agent-home.ts'
import {
  type AgentChild,
  type AgentCommand,
  type AgentStart,
  isRunning,
  spawnAgent,
} from './agent-start.ts'
import { OVER_REPOSITORY, type RepositorySettings } from './repository-settings.ts'
import type { Processes } from './stray.ts'

const STDERR_CHARS = 4_000
/** Transcripts must outlive the longest sleep of a session; Claude Code removes old ones at its start. */
const KEEP_TRANSCRIPTS_DAYS = 36_500

export interface AgentProgram {
  sessionId: string
  executable: string
  variables: Variables
  /** Variables that a repository's settings must not change. */
  transport: Variables
  canUseTool: CanUseTool
  processes: Processes
}

/** A process that is about to be started, and what is known of it then. */
export interface AgentProcess {
  id: string
  /** What ran before it. */
  spared: ReadonlySet<string>
  options: Options
  child: () => AgentChild | undefined
  /** The end of what it wrote on stderr. */
  words: () => string
}

export interface AgentKnown {
  /** What the folder's own settings ask for, where the folder is known. */
  repository?: Pick<RepositorySettings, 'deny' | 'ask' | 'kept'>
  /** Further hooks. */
  sessionStart?: AdditionalSettings['sessionStart']
  plugins?: SdkPluginConfig[]
  /** Is used if it is what would be started now. */
  ahead?: AgentAhead | undefined
}

export async function describeAgent(
  program: AgentProgram,
  {
    repository = { deny: [], ask: [], kept: {} },
    sessionStart = [],
    plugins = [],
    ahead,
  }: AgentKnown = {},
): Promise<AgentProcess> {
  const spared = await program.processes.present(ahead?.child.pid)
  const id = ahead?.command()?.env[RUN_MARK] ?? `${program.sessionId}/${randomUUID()}`
  let child: AgentChild | undefined
  let words = ''
  const options: Options = {
    pathToClaudeCodeExecutable: program.executable,
    env: { ...program.variables, [RUN_MARK]: id },
    allowDangerouslySkipPermissions: true,
    settingSources: ['user', 'project', 'local'],
    settings: {
      ...OVER_REPOSITORY,
      env: { ...repository.kept, ...program.transport },
      enableAllProjectMcpServers: true,
      cleanupPeriodDays: KEEP_TRANSCRIPTS_DAYS,
      ...(sessionStart.length > 0 ? { hooks: { SessionStart: sessionStart } } : {}),
    },
    // Rules that allow come from here only; those of the repository that forbid are said again.
    managedSettings: { allowManagedPermissionRulesOnly: true, ...forbidden(repository) },
    ...(plugins.length > 0 ? { plugins } : {}),
    includePartialMessages: true,
    includeHookEvents: true,
    canUseTool: program.canUseTool,
    spawnClaudeCodeProcess: ({ command, args, cwd, env }) => {
      const asked = { command, args, cwd, env }
      const spawned = isUsable(ahead, asked) ? ahead.child : startNow(program, asked)
      spawned.stderr.on('data', (chunk: Buffer) => {
        words = (words + chunk.toString('utf8')).slice(-STDERR_CHARS)
      })
      child = spawned
      return spawned
    },
  }
  return { id, spared, options, child: () => child, words: () => words }
}

function startNow({ variables }: AgentProgram, asked: AgentCommand) {
  prepareHome(variables, new Date())
  return spawnAgent(asked)
}

/** Each key that it is told here costs Claude Code 20 to 50 ms of its start: none without a rule. */
function forbidden({ deny, ask }: Pick<RepositorySettings, 'deny' | 'ask'>) {
  return deny.length + ask.length > 0 ? { permissions: { deny, ask } } : {}
}

function isUsable(ahead: AgentAhead | undefined, asked: AgentCommand): ahead is AgentAhead {
  return isRunning(ahead?.child) && isDeepStrictEqual(ahead?.command(), asked)
}

/** Starts an agent that waits in `cwd` for its folder; resolves when it is ready for one. */
export function park({ options }: AgentProcess, cwd: string): Promise<SpareProcess> {
  return prewarm({ options: { ...options, cwd, systemPrompt: systemPrompt() } })
}

/** What `park` would start for a session without variables of its own; nothing is started. */
export async function recordStart(
  program: Pick<AgentProgram, 'executable' | 'transport'>,
): Promise<AgentStart> {
  const recorded = Promise.withResolvers<AgentStart>()
  const agent = await describeAgent({
    ...program,
    sessionId: '',
    variables: {},
    canUseTool: async () => ({ behavior: 'deny', message: '' }),
    processes: { present: async () => new Set(), endRun: async () => 0 },
  })
  agent.options.spawnClaudeCodeProcess = ({ args, env }) => {
    const { [RUN_MARK]: _, ...added } = env
    recorded.resolve({ args, env: added as Variables })
    throw new Error('recorded')
  }
  await park(agent, '/').catch(recorded.reject)
  return recorded.promise
}

/** Claude Code's own system prompt, with what is to be said behind it. */
export function systemPrompt(append?: string): Options['systemPrompt'] {
  return {
    type: 'preset',
    preset: 'claude_code',
    snapshot: true,
    ...(append === undefined ? {} : { append }),
  }
}
