// What the command line is given by the roof: where to write, how to ask, and how to reach Errand.
import type { Client } from '../client/client.ts'

export interface Output {
  write(text: string): void
  isTTY: boolean
  /** A terminal whose user did not say NO_COLOR. */
  hasColors?: boolean
  /** Undefined: not a terminal. */
  columns(): number | undefined
}

/** Where Errand answers; addresses without a slash at their end. */
export interface Connection {
  client: Client
  baseUrl: string
  /** That people open. */
  pageUrl: string
  /** It runs on this machine: whatever proxy there is, it does not lead there. */
  isHere?: boolean
  token: string
}

/** Ctrl-C while something was asked. */
export class InterruptedError extends Error {
  constructor() {
    super('interrupted')
    this.name = 'InterruptedError'
  }
}

interface PromptOptions {
  signal: AbortSignal
  /** Ctrl-C at the prompt, which the terminal does not turn into a signal. */
  onInterrupt(): void
  /** For secrets: what is typed is not shown. */
  isHidden?: boolean
}
/** Asks a person one line. Rejects when the signal aborts. */
export type Prompt = (question: string, options: PromptOptions) => Promise<string>

export interface CliDeps {
  stdout: Output
  stderr: Output
  /** Finds a running Errand; starts one when there is none and `start` says so, else `errand_not_running`. */
  connect(options: { start: boolean }): Promise<Connection>
  cwd: string
  /** The environment that git runs with. */
  env: Record<string, string>
  /** Undefined where nobody can answer: standard input or output is no terminal, or the input was read to its end. */
  prompt: Prompt | undefined
  /** All of standard input. */
  readStdin(): Promise<string>
  /** Called at each Ctrl-C while it is listened to. */
  onInterrupt(listener: () => void): () => void
}
