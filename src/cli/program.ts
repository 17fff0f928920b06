// The command line as a whole. The roof adds its own commands (up, demo, test) to `program` and calls `run`.
import { Command, CommanderError } from 'commander'
import { AppError, toAppError } from '../protocol/errors.ts'
import type { Cli } from './command.ts'
import { addAccountCommands } from './commands/accounts.ts'
import { addCheckTools } from './commands/check-tools.ts'
import { addCredentialCommands } from './commands/credentials.ts'
import { addEnvironmentCommands } from './commands/environments.ts'
import { addLogs } from './commands/logs.ts'
import { addNetworkCommands } from './commands/network.ts'
import { addRunCommands } from './commands/run.ts'
import { addSessionActions } from './commands/session-actions.ts'
import { addSessionCommands } from './commands/sessions.ts'
import { addTeleport } from './commands/teleport.ts'
import { type CliDeps, InterruptedError } from './deps.ts'
import { createGit } from './repositories/git.ts'
import { plainLine, plainText, safeJson } from './terminal/plain-text.ts'

/** As a shell says of Ctrl-C. */
const INTERRUPTED = 130

export interface Program {
  program: Command
  cli: Cli
  /** Parses, runs and reports; resolves with the exit code and never rejects. */
  run(args: readonly string[]): Promise<number>
}

/** What keeps text of others from acting on the terminal, handed in for tests that leave it out. */
const CONTROLS: Pick<Cli, 'plainText'> = { plainText }

export function createProgram(deps: CliDeps, given = CONTROLS): Program {
  let exitCode = 0
  const cli: Cli = {
    ...{ deps, ...given },
    git: createGit(deps.env),
    setExitCode: (code) => {
      exitCode = code
    },
  }
  const program = new Command('errand').description(
    'coding agents that work away from your machine',
  )
  // Before any command is added: each inherits it.
  program.exitOverride().configureOutput({
    writeOut: (text) => deps.stdout.write(text),
    writeErr: () => undefined,
  })
  addRunCommands(cli, program)
  addTeleport(cli, program)
  addLogs(cli, program)
  addCheckTools(cli, program)
  addSessionCommands(cli, program)
  addSessionActions(cli, program)
  addAccountCommands(cli, program)
  addCredentialCommands(cli, program)
  addEnvironmentCommands(cli, program)
  addNetworkCommands(cli, program)
  const run = async (args: readonly string[]) => {
    exitCode = 0
    try {
      await program.parseAsync(args, { from: 'user' })
      return exitCode
    } catch (error) {
      if (error instanceof CommanderError && error.exitCode === 0) return 0
      if (error instanceof InterruptedError) return INTERRUPTED
      return report(deps, toRefusal(error, helpFor(program, args)), args.includes('--json'))
    }
  }
  return { program, cli, run }
}

/** The help of the command that was named, as far as it is one. */
function helpFor(program: Command, args: readonly string[]): string {
  const names: string[] = []
  let command = program
  for (const arg of args) {
    const next = command.commands.find((one) => one.name() === arg || one.aliases().includes(arg))
    if (!next) break
    names.push(arg)
    command = next
  }
  return ['errand', ...names, '--help'].join(' ')
}

function toRefusal(error: unknown, help: string): AppError {
  if (!(error instanceof CommanderError)) return toAppError(error)
  if (error.code === 'commander.help') {
    return new AppError('invalid', 'command_missing', `say what to do: ${help} lists the commands`)
  }
  const what = error.message.replace(/^error: /, '').replace(/\.$/, '')
  return new AppError('invalid', 'usage', `${what}; see ${help}`, { cause: error })
}

/** One sentence, and the same for programs. */
function report({ stdout, stderr }: CliDeps, error: AppError, isJson: boolean): number {
  stderr.write(`errand: ${plainLine(error.message)} (${plainLine(error.reason)})\n`)
  if (isJson) stdout.write(`${safeJson(error.toBody())}\n`)
  return error.exitCode
}
