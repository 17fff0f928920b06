// Mode and model of an agent that runs: what it is told to be, and what it says that it is.
import type { PermissionMode, Query, SDKMessage } from '@anthropic-ai/claude-agent-sdk/core'
import type { Mode } from '../../protocol/session.ts'

export const PERMISSION_MODES: Record<Mode, PermissionMode> = {
  work: 'bypassPermissions',
  ask: 'default',
  plan: 'plan',
}

export interface Wanted {
  mode: Mode
  model: string | null
}

export interface AgentMode {
  /** A message of the agent may say that its mode is another one now. */
  note(message: SDKMessage): void
  /**
   * While it works: brings it what was changed, and leaves alone what it has changed itself, such as the mode after its plan was
   * approved.
   */
  adjust(): Promise<void>
  /** For a prompt: makes it what is wanted, whatever it has become. */
  renew(): Promise<void>
}

export interface AgentModeDeps {
  query: Pick<Query, 'setPermissionMode' | 'setModel'>
  /** With what it was started. */
  started: Wanted
  wanted: () => Wanted
}

export function createAgentMode({ query, started, wanted }: AgentModeDeps): AgentMode {
  let told = started
  let actual = PERMISSION_MODES[started.mode]
  let last: Promise<void> = Promise.resolve()

  const bring = async (isNew: boolean) => {
    const { mode, model } = wanted()
    const permissionMode = PERMISSION_MODES[mode]
    if (mode !== told.mode || (isNew && permissionMode !== actual)) {
      await query.setPermissionMode(permissionMode)
      actual = permissionMode
      told = { ...told, mode }
    }
    if (model !== told.model) {
      await query.setModel(model ?? undefined)
      told = { ...told, model }
    }
  }
  /** One after the other, each to what is wanted by then: what was asked last is what counts. */
  const inTurn = (isNew: boolean) => {
    last = last.catch(() => undefined).then(() => bring(isNew))
    return last
  }
  return {
    note(message) {
      if (message.type !== 'system') return
      if (message.subtype === 'init' || message.subtype === 'status')
        actual = message.permissionMode ?? actual
    },
    adjust: () => inTurn(false),
    renew: () => inTurn(true),
  }
}
