// A command line for tests: what it writes is kept, Errand is a fake client, answers come from a list.
import type { Client } from '../client/client.ts'
import { environmentSchema } from '../protocol/environment.ts'
import type { EventOf } from '../protocol/event.ts'
import type { CliDeps, Output } from './deps.ts'
import { createProgram } from './program.ts'
import { plainText } from './terminal/plain-text.ts'

/** How the log of a session begins. */
export const SESSION_CREATED: EventOf<'session.created'> = {
  ...{ type: 'session.created', ownerId: 'o', title: 't', driver: 'oci', mode: 'work' },
  model: null,
  environment: environmentSchema.parse({ id: `e_${'a'.repeat(20)}`, name: 'Default' }),
  repository: {
    source: { kind: 'remote', url: 'https://example.com/r', credentialId: null },
    ...{ name: 'r', url: 'https://example.com/r', baseBranch: null },
    ...{ commit: 'a'.repeat(40), branch: 'errand/x' },
  },
}

export interface TestOutput extends Output {
  text(): string
  /** What is left to see on a terminal that knows "erase line". */
  screen(): string
}

export function createTestOutput(isTTY = false, columns = 80): TestOutput {
  let text = ''
  return {
    isTTY,
    columns: () => (isTTY ? columns : undefined),
    write: (part) => {
      text += part
    },
    text: () => text,
    screen: () =>
      text
        .split('\n')
        .map((line) => line.split('\r\x1b[2K').at(-1))
        .join('\n'),
  }
}

export interface TestCli {
  run(...args: string[]): Promise<number>
  stdout: TestOutput
  stderr: TestOutput
  interrupt(): void
  listeners(): number
  /** How often Errand was asked for. */
  connections(): number
}

export interface TestCliOptions {
  client?: Partial<Client>
  baseUrl?: string
  cwd?: string
  env?: Record<string, string>
  prompt?: CliDeps['prompt']
  stdin?: string
  /** How wide the terminal is that it writes to: none unless told. */
  columns?: number
  /** Whether text of others is made safe for a terminal. */
  isSafe?: boolean
}

export function createTestCli(options: TestCliOptions): TestCli {
  const {
    client = {},
    baseUrl = 'http://errand',
    cwd = '/',
    env = {},
    prompt,
    stdin = '',
    columns,
    isSafe = true,
  } = options
  const isTTY = columns !== undefined
  const stdout = createTestOutput(isTTY, columns)
  const stderr = createTestOutput(isTTY, columns)
  const listeners = new Set<() => void>()
  let connections = 0
  const deps: CliDeps = {
    ...{ stdout, stderr, cwd, env, prompt },
    connect: async () => {
      connections += 1
      return { client: client as Client, baseUrl, pageUrl: baseUrl, token: 'errand_token' }
    },
    readStdin: async () => stdin,
    onInterrupt: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
  const { run } = createProgram(deps, { plainText: isSafe ? plainText : (text) => text })
  return {
    run: (...args) => run(args),
    stdout,
    stderr,
    interrupt: () => {
      for (const listener of listeners) listener()
    },
    listeners: () => listeners.size,
    connections: () => connections,
  }
}

/** C0 without tab and newline, DEL, C1, directions, separators, invisible marks, half surrogates. */
const ACTING = [
  ...['0-8', 'b-1f', '7f-9f', '61c-61c', '200b-200b', '200e-200f', '2028-202e', '2060-206f'],
  ...['feff-feff', 'd800-dfff', 'e0000-e007f'],
].map((range) => range.split('-').map((digits) => Number.parseInt(digits, 16)))

/** Whether a terminal would do something else than show the characters. */
export function actsOnTerminal(text: string): boolean {
  return Array.from(text).some((character) => {
    const point = character.codePointAt(0) ?? 0
    return ACTING.some(([first = 0, last = 0]) => first <= point && point <= last)
  })
}
