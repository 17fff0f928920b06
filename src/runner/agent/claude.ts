// Claude Code as one long-lived process per sandbox run, driven through its SDK with streamed input. Started again when it
// ended, with the conversation so far. Knows nothing of turns: messages go out as they come.
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import {
  type Options,
  type Query,
  query,
  type SDKMessage,
  type SDKUserMessage,
} from '@anthropic-ai/claude-agent-sdk/core'
import { withDeadline } from '../../lib/deadline.ts'
import type { Logger } from '../../lib/logger.ts'
import { readPlainFile } from '../../lib/plain-file.ts'
import { killGroup } from '../../lib/process.ts'
import { PHASE_LIMITS_MS } from '../../protocol/session.ts'
import type { StateFile } from '../state-file.ts'
import { writeAdditionalPlugins } from './additional-plugins.ts'
import { type AdditionalFolder, readAdditionalSettings } from './additional-settings.ts'
import { type AgentMode, createAgentMode, PERMISSION_MODES, type Wanted } from './agent-mode.ts'
import {
  type AgentProcess,
  type AgentProgram,
  describeAgent,
  systemPrompt,
} from './agent-program.ts'
import type { AgentChild } from './agent-start.ts'
import type { Parked, ParkedAgent } from './parked-agent.ts'
import { readRepositorySettings } from './repository-settings.ts'
import { hasMessages, transcriptPath } from './transcript.ts'

const END_MS = 2_000
/** Of the time that a start may take: one that waits and does not take its folder by then is replaced. */
const CLAIM_SHARE = 1 / 4

export interface ClaudeDeps {
  program: AgentProgram
  place: {
    cwd: string
    /** Added to the system prompt. */
    appendix: string
    /** Where it may work as well. */
    additional: readonly AdditionalFolder[]
    /** A folder of its own for what is made of these. */
    plugins: string
  }
  parked: ParkedAgent
  state: StateFile
  /** What is wanted now; asked for at every start. */
  wanted: () => Wanted
  events: ClaudeEvents
  /** How long it may take until it takes a prompt, also when it is started again in a turn; as long as its phase unless told. */
  startMs?: number
  log: Logger
}

interface ClaudeEvents {
  message(message: SDKMessage): void
  /** The process ended without having been told to; `words` is the end of what it wrote on stderr. */
  died(words: string): void
  /** Before each start: what of the repository's settings is not followed. */
  settingsRead(notices: string[]): void
  /** A message could not be worked on; the next ones are. */
  failed(error: unknown): void
}

export interface Claude {
  /**
   * Resolves when the agent takes a prompt; hooks of its start may still run. Does nothing when it does already. One that hangs
   * is ended, and the promise rejected.
   */
  start(): Promise<void>
  /** The same, in the mode and with the model that are wanted now. */
  startForPrompt(): Promise<void>
  /** False when the agent does not run: it has just died. */
  prompt(text: string, uuid: string): boolean
  /** Brings it what has changed of mode and model that are wanted, also while it works. */
  adjust(): Promise<void>
  interrupt(): Promise<void>
  /** True when the conversation on disk holds the message. */
  remembers(uuid: string): Promise<boolean>
  /** Ends the process and all that it left behind. */
  end(): Promise<void>
}

interface Run extends Omit<AgentProcess, 'options'> {
  query: Query
  input: MessageQueue
  mode: AgentMode
  isEnding: boolean
  isReady: boolean
  /** Resolves once it takes a prompt; rejects when it ended before it did. */
  ready: PromiseWithResolvers<void>
}

export function createClaude(deps: ClaudeDeps): Claude {
  let run: Run | undefined
  let starting: Promise<Run> | undefined
  let ending: Promise<void> = Promise.resolve()

  const started = async () => {
    if (run) return run
    // Two processes must never write one conversation.
    starting ??= ending
      .then(() => startRun(deps))
      .then((fresh) => {
        run = fresh
        void consume(fresh)
        return fresh
      })
      .finally(() => {
        starting = undefined
      })
    return starting
  }
  const consume = async (current: Run) => {
    const words = await readMessages(deps, current)
    if (run === current) run = undefined
    const said = current.words().trim() || words
    current.ready.reject(new Error(said))
    if (current.isEnding) return
    // Its commands must have ended before it is started again.
    ending = endLeftBehind(deps, current)
    if (current.isReady) deps.events.died(said)
  }
  const startMs = startLimit(deps)
  const end = async () => {
    const current = run ?? (await starting?.catch(() => undefined))
    if (!current) return
    current.isEnding = true
    run = undefined
    ending = endRun(deps, current)
    await ending
  }
  const startUntil = async (isThere: (fresh: Run) => Promise<void>) => {
    const fresh = await started()
    try {
      await withDeadline('the start of the agent', startMs, () => isThere(fresh))
    } catch (error) {
      if (run === fresh) await end()
      throw error
    }
  }
  return {
    start: () => startUntil((fresh) => fresh.ready.promise),
    startForPrompt: () =>
      startUntil(async (fresh) => {
        await fresh.ready.promise
        await fresh.mode.renew()
      }),
    prompt(text, uuid) {
      if (!run) return false
      run.input.push(promptMessage(text, uuid))
      return true
    },
    adjust: async () => run?.mode.adjust(),
    async interrupt() {
      await run?.query.interrupt()
    },
    remembers: async (uuid) => {
      const id = deps.state.get().conversationId
      const path = id === null ? undefined : await transcriptPath(deps.program.variables, id)
      const text = path === undefined ? undefined : await readPlainFile(path)
      return text?.includes(uuid) ?? false
    },
    end,
  }
}

function startLimit({ startMs = PHASE_LIMITS_MS.agent }: ClaudeDeps): number {
  return startMs
}

function promptMessage(text: string, uuid: string): SDKUserMessage {
  return {
    type: 'user',
    message: { role: 'user', content: text },
    parent_tool_use_id: null,
    uuid: uuid as `${string}-${string}-${string}-${string}-${string}`,
  }
}

/** To its end; resolves with what went wrong at last. */
async function readMessages({ events, state }: ClaudeDeps, run: Run): Promise<string> {
  try {
    for await (const message of run.query) {
      run.mode.note(message)
      noteConversation(state, message)
      // Its hooks may take minutes: they are told as they run, and what is asked meanwhile waits inside.
      if (message.type === 'system' && message.subtype === 'hook_started') markReady(run)
      handOver(events, message)
    }
    return ''
  } catch (error) {
    // After an error result the SDK throws it once more when the process ends: `died` is enough.
    return error instanceof Error ? error.message : String(error)
  }
}

async function endRun(deps: ClaudeDeps, run: Run): Promise<void> {
  run.query.close()
  const child = run.child()
  if (child) await endChild(child)
  await endLeftBehind(deps, run)
}

async function endLeftBehind({ program }: ClaudeDeps, run: Run): Promise<void> {
  await program.processes.endRun(run.id, run.spared, run.child()?.pid)
}

function handOver(events: ClaudeEvents, message: SDKMessage): void {
  try {
    events.message(message)
  } catch (error) {
    events.failed(error)
  }
}

/** Asks the process to leave, so that it writes its transcript to the end, does not wait long, and kills it then. */
async function endChild(child: AgentChild): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  const { pid } = child
  killGroup(pid, 'SIGTERM')
  await withDeadline('the end of the agent', END_MS, () => exited).catch(() => killGroup(pid))
}

/** One that waits already is used for a conversation that is new; it takes folders with harmless settings only. */
async function startRun(deps: ClaudeDeps): Promise<Run> {
  const repository = await readRepositorySettings(deps.place.cwd, deps.program.variables)
  const additional = await readAdditionalSettings(deps.place.additional)
  const { plugins, ...made } = await writeAdditionalPlugins(
    deps.place.additional,
    deps.place.plugins,
  )
  deps.events.settingsRead([...repository.notices, ...additional.notices, ...made.notices])
  const isNew = deps.state.get().conversationId === null
  // Rules that forbid, hooks and plugins are given at the start of a process only.
  const { deny, ask } = repository
  const { sessionStart } = additional
  const hasOwn = deny.length + ask.length + sessionStart.length + plugins.length > 0
  if (!isNew || hasOwn) deps.parked.close()
  const parked = await deps.parked.take()
  if (parked) {
    try {
      return await claimRun(deps, parked)
    } catch (err) {
      deps.log.info({ err }, 'the agent that waited does not take this folder')
    }
    parked.spare.close()
    const child = parked.agent.child()
    if (child) await endChild(child)
  }
  return await startColdRun(
    deps,
    await describeAgent(deps.program, { repository, sessionStart, plugins }),
  )
}

async function claimRun(deps: ClaudeDeps, { agent, spare }: Parked): Promise<Run> {
  const started = deps.wanted()
  const { mode, model } = started
  const input = createMessageQueue()
  const query = spare.claim({
    prompt: input,
    options: {
      ...folders(deps.place),
      permissionMode: PERMISSION_MODES[mode],
      appendSystemPrompt: deps.place.appendix,
      ...(model === null ? {} : { model }),
    },
  })
  const limitMs = CLAIM_SHARE * startLimit(deps)
  const { sessionId } = await withDeadline('the claim of an agent', limitMs, () => spare.claimed)
  deps.state.set({ conversationId: sessionId })
  const run = createRun(deps, agent, { query, input, started })
  markReady(run)
  return run
}

async function startColdRun(deps: ClaudeDeps, agent: AgentProcess): Promise<Run> {
  const started = deps.wanted()
  const { mode, model } = started
  const options: Options = {
    ...agent.options,
    ...(await conversation(deps)),
    ...folders(deps.place),
    permissionMode: PERMISSION_MODES[mode],
    systemPrompt: systemPrompt(deps.place.appendix),
    ...(model === null ? {} : { model }),
  }
  const input = createMessageQueue()
  const running = query({ prompt: input, options })
  const run = createRun(deps, agent, { query: running, input, started })
  running.initializationResult().then(
    () => markReady(run),
    (cause: unknown) =>
      run.ready.reject(new Error(agent.words().trim() || String(cause), { cause })),
  )
  return run
}

function folders({ cwd, additional }: ClaudeDeps['place']) {
  if (additional.length === 0) return { cwd }
  return { cwd, additionalDirectories: additional.map(({ folder }) => folder) }
}

function createRun(
  { wanted }: ClaudeDeps,
  { id, spared, child, words }: AgentProcess,
  { started, ...parts }: Pick<Run, 'query' | 'input'> & { started: Wanted },
): Run {
  const mode = createAgentMode({ query: parts.query, started, wanted })
  const ready = Promise.withResolvers<void>()
  // Nobody may be waiting for it any more.
  ready.promise.catch(() => undefined)
  return { id, spared, child, words, isEnding: false, isReady: false, ready, mode, ...parts }
}

function markReady(run: Run): void {
  run.isReady = true
  run.ready.resolve()
}

/** The same conversation for the whole life of the session; its id is ours from the first start on. */
async function conversation({ state, program: { variables } }: ClaudeDeps) {
  const known = state.get().conversationId
  if (known !== null && (await hasMessages(variables, known))) return { resume: known }
  // Nor does it begin one whose file is there.
  const isUsed = known !== null && (await transcriptPath(variables, known)) !== undefined
  const sessionId = isUsed || known === null ? randomUUID() : known
  state.set({ conversationId: sessionId, transcriptFrom: 0 })
  return { sessionId }
}

/** `/clear` begins a new one, with an id and a transcript of its own: that is gone on with after a restart. */
function noteConversation(state: StateFile, message: SDKMessage): void {
  if (message.type !== 'system' || message.subtype !== 'init') return
  if (message.session_id !== state.get().conversationId)
    state.set({ conversationId: message.session_id, transcriptFrom: 0 })
}

interface MessageQueue extends AsyncIterable<SDKUserMessage> {
  push(message: SDKUserMessage): void
}

/** Never ends: the process lives until it is closed. */
function createMessageQueue(): MessageQueue {
  const held: SDKUserMessage[] = []
  let wake: () => void = () => undefined
  return {
    push(message) {
      held.push(message)
      wake()
    },
    async *[Symbol.asyncIterator]() {
      for (;;) {
        const next = held.shift()
        if (next) yield next
        else
          await new Promise<void>((resolve) => {
            wake = resolve
          })
      }
    },
  }
}
