// An agent that is started while the runner does not know its repository yet, or has not made the checkout: it boots, and waits
// for a folder. It is used at most once. Whatever goes wrong with it costs time only: an agent is then started as usual.
import { mkdir } from 'node:fs/promises'
import type { SpareProcess } from '@anthropic-ai/claude-agent-sdk/core'
import type { Logger } from '../../lib/logger.ts'
import { killGroup } from '../../lib/process.ts'
import type { AgentAhead } from './agent-ahead.ts'
import { type AgentProcess, type AgentProgram, describeAgent, park } from './agent-program.ts'
import { type AgentChild, isRunning } from './agent-start.ts'

export interface Parked {
  agent: AgentProcess
  spare: SpareProcess
}

export interface ParkedAgent {
  /** Starts one; resolves when it waits, also when that failed. Later calls wait for the same one. */
  park(): Promise<void>
  /** The one that waits, once, also if it is still on its way; undefined when there is none. */
  take(): Promise<Parked | undefined>
  /** Ends the one that waits or is on its way, unless it was taken. */
  close(): void
}

export interface ParkedAgentDeps {
  program: AgentProgram
  /** Where it waits; made if it is not there. */
  folder: string
  /** One that was started before anything else. */
  ahead: AgentAhead | undefined
  log: Logger
}

export function createParkedAgent({ program, folder, ahead, log }: ParkedAgentDeps): ParkedAgent {
  let parking: Promise<Parked | undefined> | undefined
  let agent: AgentProcess | undefined
  let isTaken = false
  let isHandedOver = false
  let isClosed = false
  const endAll = () => {
    for (const child of new Set([ahead?.child, agent?.child()])) if (child) end(child)
  }
  const start = async () => {
    agent = await describeAgent(program, { ahead })
    try {
      await mkdir(folder, { recursive: true, mode: 0o700 })
      const spare = await park(agent, folder)
      // It also rejects when nobody has claimed it: its end is noticed when it is taken.
      spare.claimed.catch(() => undefined)
      if (ahead && agent.child() !== ahead.child) end(ahead.child)
      return { agent, spare }
    } catch (err) {
      endAll()
      if (!isClosed) log.warn({ err, words: agent.words() }, 'no agent could be started ahead')
      return undefined
    }
  }
  const parkOnce = async () => {
    if (isClosed) return
    parking ??= start()
    await parking
  }
  if (ahead) void parkOnce()
  return {
    park: parkOnce,
    take: async () => {
      if (isTaken || isClosed) return undefined
      isTaken = true
      const parked = await parking
      isHandedOver = true
      return parked && isRunning(parked.agent.child()) ? parked : undefined
    },
    close: () => {
      if (isHandedOver) return
      isClosed = true
      endAll()
      void parking?.then((parked) => parked?.spare.close())
    },
  }
}

/** With what it started; it has nothing yet that it would have to write down. */
function end(child: AgentChild): void {
  if (child.pid !== undefined && isRunning(child)) killGroup(child.pid)
}
