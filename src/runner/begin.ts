// The first lines of the runner inside a sandbox, before the rest of it is loaded: reads what it was started with, and starts the
// agent of a session that is new.
import { existsSync, readFileSync } from 'node:fs'
import { SANDBOX_PATHS } from '../protocol/network.ts'
import type { RunnerBoot } from '../protocol/runner-frames.ts'
import { CERTIFICATE_FILES, transportVariables, type Variables } from './agent/agent-environment.ts'
import { type AgentStart, type EarlyAgent, startEarly } from './agent/agent-start.ts'

export interface Beginning {
  inherited: Variables
  /** The text of SANDBOX_PATHS.session. */
  boot: string
  /** The file with the authorities that the image trusts; null when it has none. */
  certificates: string | null
  early: EarlyAgent | undefined
}

export function begin(start: AgentStart): Beginning {
  const boot = readFileSync(SANDBOX_PATHS.session, 'utf8')
  const inherited = readEnvironment()
  const certificates = CERTIFICATE_FILES.find((path) => existsSync(path)) ?? null
  return { boot, inherited, certificates, early: tryEarly() }

  function tryEarly(): EarlyAgent | undefined {
    try {
      const told = JSON.parse(boot) as RunnerBoot
      return startEarly(told, start, {
        agent: SANDBOX_PATHS.agent,
        stateFolder: stateFolderOf(told.purpose),
        inherited: inheritedWith(told.model, inherited),
        transport: transportFor(told.model),
        certificates,
      })
    } catch {
      // What is wrong is said where it is needed: a broken file by whoever parses it, the agent by its phase.
      return undefined
    }
  }
}

export function stateFolderOf(purpose: RunnerBoot['purpose']): string {
  return purpose === 'layer' ? SANDBOX_PATHS.passingState : SANDBOX_PATHS.state
}

/** The Messages API unless told. */
export function transportFor(model: RunnerBoot['model']): Variables {
  return transportVariables(model?.form ?? { kind: 'messages' })
}

export function inheritedWith(model: RunnerBoot['model'], inherited: Variables): Variables {
  return { ...inherited, ...model?.names }
}

function readEnvironment(): Variables {
  return Object.fromEntries(
    // biome-ignore lint/style/noProcessEnv: the runner reads its own environment, once, here.
    Object.entries(process.env).filter(
      (entry): entry is [string, string] => entry[1] !== undefined,
    ),
  )
}
