// Runs the real Claude Code on a fresh sample repository, through the model door, with the scripted model behind it.
// For conformance suites: what they assert is read from the agent's own messages. Nothing is sandboxed here.
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import {
  type CanUseTool,
  type Query,
  query,
  type SDKMessage,
  type SDKResultMessage,
  type SDKUserMessage,
} from '@anthropic-ai/claude-agent-sdk'
import { runChecked } from '../src/lib/process.ts'
import { createModelDoor, type ModelProblem, type ModelUsage } from '../src/model/pass-through.ts'
import { createMessagesUpstream, type Upstream } from '../src/model/upstream.ts'
import { modelDoorVariables } from '../src/runner/agent/agent-environment.ts'
import { createSampleRepository, gitEnvironment } from './repository.ts'
import { loadScenarios, type Scenario } from './scenario.ts'
import { createScriptedModel, type ScriptedModel } from './scripted-model.ts'

interface ToolCall {
  name: string
  input: Record<string, unknown>
  output: string
  isError: boolean
}

interface Turn {
  calls: ToolCall[]
  texts: string[]
  messages: SDKMessage[]
  result: SDKResultMessage
}

export interface RealAgent {
  model: ScriptedModel
  usage: ModelUsage[]
  problems: ModelProblem[]
  query: Query
  /** Runs one turn to its end; `onMessage` sees each message as it comes. */
  ask(prompt: string, onMessage?: (message: SDKMessage) => void): Promise<Turn>
  git(...args: string[]): Promise<string>
  close(): Promise<void>
}

const KEY = 'sk-ant-only-the-door-knows'
const SESSION = 's_bbbbbbbbbbbbbbbbbbbb'

export async function createRealAgent(
  options: {
    scenarios?: Scenario[]
    canUseTool?: CanUseTool
    maxRetries?: number
    /** What the door asks instead of the scripted model itself. */
    upstreamFor?: (model: { url: () => string; key: string }) => Promise<Upstream>
  } = {},
): Promise<RealAgent> {
  const folder = mkdtempSync(join(tmpdir(), 'errand-agent-'))
  const repository = await createSampleRepository(join(folder, 'cart'))
  const git = (...args: string[]) =>
    runChecked('git', args, { cwd: repository.path, env: gitEnvironment() })
  await git('clone', '--quiet', '--bare', '.', join(folder, 'origin.git'))
  await git('remote', 'add', 'origin', join(folder, 'origin.git'))
  const scenarios = options.scenarios ?? loadScenarios()
  const model = await createScriptedModel({ scenarios, requireKey: KEY })
  const upstream = options.upstreamFor
    ? await options.upstreamFor({ url: () => model.url, key: KEY })
    : createMessagesUpstream({ baseUrl: model.url, key: KEY })
  const door = await startDoor(upstream)
  const prompts = createInbox()
  const running = query({
    prompt: prompts,
    options: {
      cwd: repository.path,
      permissionMode: 'bypassPermissions',
      allowDangerouslySkipPermissions: true,
      settingSources: ['project'],
      canUseTool: options.canUseTool,
      includePartialMessages: true,
      env: {
        ...gitEnvironment(),
        HOME: join(folder, 'home'),
        PATH: `${dirname(process.execPath)}:${process.env.PATH}`,
        ...modelDoorVariables(upstream.form, door.url),
        IS_SANDBOX: '1',
        CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
        CLAUDE_CODE_MAX_RETRIES: String(options.maxRetries ?? 2),
      },
    },
  })
  return {
    model,
    usage: door.usage,
    problems: door.problems,
    query: running,
    git,
    ask: (prompt, onMessage) => {
      prompts.send(prompt)
      return readTurn(running, onMessage)
    },
    close: async () => {
      prompts.end()
      // After a failed turn the process ends with an error that the turn's result has told already.
      await drain(running).catch(() => undefined)
      await Promise.all([door.close(), model.close()])
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

async function startDoor(upstream: Upstream) {
  const usage: ModelUsage[] = []
  const problems: ModelProblem[] = []
  const door = createModelDoor({
    upstreamFor: () => upstream,
    policy: { allowsHost: () => false },
    onUsage: (one) => usage.push(one),
    onProblem: (one) => problems.push(one),
  })
  const server = createServer((req, res) => {
    void door(SESSION, req, res)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/model`,
    usage,
    problems,
    close: async () => {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

async function readTurn(running: Query, onMessage?: (message: SDKMessage) => void): Promise<Turn> {
  const messages: SDKMessage[] = []
  for (;;) {
    const next = await running.next()
    if (next.done) throw new Error('Claude Code ended in the middle of a turn')
    messages.push(next.value)
    onMessage?.(next.value)
    if (next.value.type === 'result')
      return {
        messages,
        result: next.value,
        calls: readCalls(messages),
        texts: readTexts(messages),
      }
  }
}

function readCalls(messages: SDKMessage[]): ToolCall[] {
  const calls = new Map<string, ToolCall>()
  for (const block of blocksOf(messages)) {
    if (block.type === 'tool_use') {
      const input = block.input as Record<string, unknown>
      calls.set(block.id, { name: block.name, input, output: '', isError: false })
    }
    const call = block.type === 'tool_result' ? calls.get(block.tool_use_id) : undefined
    if (!call || block.type !== 'tool_result') continue
    call.output = textOfResult(block.content)
    call.isError = block.is_error === true
  }
  return [...calls.values()]
}

type Block = Exclude<SDKUserMessage['message']['content'], string>[number]

function blocksOf(messages: SDKMessage[]): Block[] {
  return messages
    .filter((message) => message.type === 'assistant' || message.type === 'user')
    .flatMap(({ message: { content } }) =>
      typeof content === 'string' ? [] : (content as Block[]),
    )
}

function textOfResult(content: unknown): string {
  if (typeof content === 'string') return content
  if (!Array.isArray(content)) return ''
  return content.map((block) => (block.type === 'text' ? block.text : '')).join('\n')
}

function readTexts(messages: SDKMessage[]): string[] {
  return messages
    .filter((message) => message.type === 'assistant')
    .flatMap(({ message }) => message.content)
    .filter((block) => block.type === 'text')
    .map(({ text }) => text)
}

async function drain(running: Query): Promise<void> {
  for await (const _ of running);
}

function createInbox() {
  const waiting: SDKUserMessage[] = []
  let wake: () => void = () => undefined
  let ended = false
  return {
    send: (content: string) => {
      waiting.push({ type: 'user', message: { role: 'user', content }, parent_tool_use_id: null })
      wake()
    },
    end: () => {
      ended = true
      wake()
    },
    async *[Symbol.asyncIterator]() {
      for (;;) {
        const next = waiting.shift()
        if (next) yield next
        else if (ended) return
        else
          await new Promise<void>((resolve) => {
            wake = resolve
          })
      }
    },
  }
}
