// What every command of the command line shares: `--json`, output, and how an error ends it.
import { randomBytes } from 'node:crypto'
import type { Command } from 'commander'
import { AppError } from '../protocol/errors.ts'
import { createId } from '../protocol/ids.ts'
import type { SessionState } from '../protocol/session.ts'
import type { CliDeps, Connection } from './deps.ts'
import type { Git } from './repositories/git.ts'
import { plainLine, safeJson } from './terminal/plain-text.ts'

export interface Cli {
  deps: CliDeps
  git: Git
  /** Makes text of others safe for a terminal. */
  plainText(text: string): string
  /** For what ends without an error and yet not well. */
  setExitCode(code: number): void
}

/** Where a command's result goes: one JSON value with `--json`, else lines. */
export interface Printer {
  isJson: boolean
  line(text?: string): void
  json(value: unknown): void
  /** What to type next. */
  hint(text: string): void
  /** Beside the result, for people only. */
  note(text: string): void
}

function createPrinter({ stdout, stderr }: CliDeps, isJson: boolean): Printer {
  const line = (text = '') => {
    if (!isJson) stdout.write(`${text}\n`)
  }
  return {
    isJson,
    line,
    hint: line,
    json: (value) => {
      if (isJson) stdout.write(`${safeJson(value)}\n`)
    },
    note: (text) => stderr.write(`${text}\n`),
  }
}

export interface Running<O> {
  connection: Connection
  print: Printer
  options: O
}

/**
 * Adds a command. `run` gets its arguments and, connected to an Errand that runs, everything else.
 * `specification` is the name with its arguments, as commander reads it.
 */
export function addCommand<O extends object>(
  cli: Cli,
  parent: Command,
  {
    specification,
    description,
    start = false,
    check,
  }: {
    specification: string
    description: string
    start?: boolean
    /** Refuses what is given before Errand is asked for, or started. */
    check?: (args: string[], options: O) => void
  },
  run: (args: string[], running: Running<O>) => Promise<void>,
): Command {
  const command = parent.command(specification).description(description)
  command.option('--json', 'print JSON and nothing else')
  command.action(async () => {
    const options = command.opts<O & { json?: boolean }>()
    const print = createPrinter(cli.deps, options.json === true)
    const args = command.processedArgs.flat().filter(isText)
    check?.(args, options)
    const connection = await cli.deps.connect({ start })
    await run(args, { connection, print, options })
  })
  return command
}

const isText = (value: unknown): value is string => typeof value === 'string'

/** Ids may be given without their `s_`. */
export function sessionId(id: string | undefined): string {
  const text = (id ?? '').trim().toLowerCase()
  const whole = text.startsWith('s_') ? text : `s_${text}`
  if (/^s_[a-z2-7]{1,20}$/.test(whole)) return whole
  throw new AppError(
    'invalid',
    'session_id_invalid',
    `${plainLine(text)} is not the id of a session`,
  )
}

/** Chosen here, so that what is sent again counts once. */
export function newTurnId(): string {
  return createId('turn', randomBytes(20))
}

/** Short enough to type, long enough to be unique for a person. */
export function shortId({ id }: Pick<SessionState, 'id'>): string {
  return id.slice(0, 8)
}

export function pageOf({ pageUrl }: Connection, { id }: Pick<SessionState, 'id'>): string {
  return `${pageUrl}/sessions/${id}`
}
