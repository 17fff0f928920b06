// An agent that is started while the runner does not know its repository yet: booted and initialized, it waits for a folder.
// It is used at most once. Whatever goes wrong with it costs time only: an agent is then started as usual.
import { prewarm, type SpareProcess } from '@anthropic-ai/claude-agent-sdk'
import type { Logger } from '../lib/logger.ts'
import {
  type AgentProcess,
  type AgentProgram,
  describeAgent,
  systemPrompt,
} from './agent-program.ts'

export interface Parked {
  agent: AgentProcess
  spare: SpareProcess
}

export interface ParkedAgent {
  /** Starts one; resolves when it waits, also when that failed. Later calls wait for the same one. */
  park(): Promise<void>
  /** The one that waits, once; undefined when there is none. */
  take(): Promise<Parked | undefined>
  close(): void
}

export function createParkedAgent(program: AgentProgram, log: Logger): ParkedAgent {
  let parking: Promise<Parked | undefined> | undefined
  let isTaken = false
  const start = async () => {
    const agent = await describeAgent(program)
    try {
      const spare = await prewarm({ options: { ...agent.options, systemPrompt: systemPrompt() } })
      // It also rejects when nobody has claimed it: its end is noticed when it is taken.
      spare.claimed.catch(() => undefined)
      return { agent, spare }
    } catch (err) {
      log.warn({ err, words: agent.words() }, 'no agent could be started ahead')
      return undefined
    }
  }
  return {
    park: async () => {
      parking ??= start()
      await parking
    },
    take: async () => {
      if (isTaken) return undefined
      isTaken = true
      const parked = await parking
      const child = parked?.agent.child()
      return child?.exitCode === null && child.signalCode === null ? parked : undefined
    },
    close: () => {
      if (!isTaken) void parking?.then((parked) => parked?.spare.close())
    },
  }
}
