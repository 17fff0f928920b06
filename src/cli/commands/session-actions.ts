// What is done to sessions as a whole, to one or to several at once: interrupt, stop, retry, push, archive, unarchive, rm; and
// what is changed of one: its title, mode and model.
import { type Command, Option } from 'commander'
import type { Client } from '../../client/client.ts'
import type { SessionPatch } from '../../protocol/api.ts'
import { AppError, toAppError } from '../../protocol/errors.ts'
import { STATE_UNREADABLE } from '../../protocol/found-session.ts'
import { addCommand, type Cli, type Printer, type Running, sessionId, shortId } from '../command.ts'
import { plainLine } from '../terminal/plain-text.ts'

const ACTIONS = {
  interrupt: { description: 'interrupt what it does now', past: 'is interrupted' },
  stop: { description: 'stop its sandbox; files stay', past: 'stops' },
  retry: { description: 'try again what failed', past: 'tries again' },
  push: { description: 'push again what has not reached its remote', past: 'is pushed again' },
  archive: { description: 'archive it; its branch stays', past: 'is archived' },
  unarchive: { description: 'take it out of the archive', past: 'is back' },
} as const

export function addSessionActions(cli: Cli, program: Command): void {
  for (const name of Object.keys(ACTIONS) as (keyof typeof ACTIONS)[]) {
    const { description, past } = ACTIONS[name]
    addForEach(cli, program, { name, description }, async (id, { connection, print }) => {
      const { client } = connection
      const session = await (name === 'interrupt'
        ? client.interruptTurn(id)
        : client.actOnSession(id, name))
      print.json(session)
      print.line(`${shortId(session)} ${past}`)
    })
  }
  const description = 'remove a session with its sandbox, files and log'
  addForEach(cli, program, { name: 'rm', description }, async (id, { connection, print }) => {
    const session = await wholeId(connection.client, id)
    await connection.client.removeSession(session.id)
    print.json({ sessionId: session.id, removed: true })
    print.line(`${shortId(session)} is removed`)
  })
  addSet(cli, program)
}

/** As it was given where the session cannot be read: that keeps nobody from removing it. */
async function wholeId(client: Pick<Client, 'getSession'>, id: string): Promise<{ id: string }> {
  try {
    return await client.getSession(id)
  } catch (error) {
    if (error instanceof AppError && error.reason === STATE_UNREADABLE) return { id }
    throw error
  }
}

/** One that fails keeps no other; the exit code is that of the first. With `--json` each is a line of its own. */
function addForEach(
  cli: Cli,
  program: Command,
  { name, description }: { name: string; description: string },
  run: (id: string, running: Running<object>) => Promise<void>,
): void {
  const specification = `${name} <id...>`
  addCommand(cli, program, { specification, description }, async (given, running) => {
    const ids = given.map(sessionId)
    if (ids.length === 1) return run(ids[0] ?? '', running)
    let exitCode = 0
    for (const id of ids) {
      try {
        await run(id, running)
      } catch (error) {
        const refusal = toAppError(error)
        exitCode ||= refusal.exitCode
        sayRefusal(running.print, id, refusal)
      }
    }
    cli.setExitCode(exitCode)
  })
}

function sayRefusal(print: Printer, id: string, error: AppError): void {
  print.json({ sessionId: id, ...error.toBody() })
  print.note(`errand: ${id.slice(0, 8)}: ${plainLine(error.message)} (${plainLine(error.reason)})`)
}

interface SetOptions {
  title?: string
  mode?: 'work' | 'ask' | 'plan'
  model?: string
}

function addSet(cli: Cli, program: Command): void {
  addCommand<SetOptions>(
    cli,
    program,
    { specification: 'set <id>', description: 'change title, mode or model of a session' },
    async ([id], { connection, print, options: { title, mode, model } }) => {
      const patch: SessionPatch = {
        ...(title === undefined ? {} : { title }),
        ...(mode === undefined ? {} : { mode }),
        ...(model === undefined ? {} : { model: model === DEFAULT_MODEL ? null : model }),
      }
      if (Object.keys(patch).length === 0)
        throw new AppError('invalid', 'usage', 'say what: --title, --mode, --model')
      const session = await connection.client.patchSession(sessionId(id), patch)
      print.json(session)
      const how = `mode ${session.mode}, model ${plainLine(session.model ?? DEFAULT_MODEL)}`
      print.line(`${shortId(session)}  ${plainLine(session.title)}  (${how})`)
    },
  )
    .option('--title <text>', 'what it is called in lists')
    .addOption(
      new Option('--mode <mode>', 'how it works from now on').choices(['work', 'ask', 'plan']),
    )
    .option('--model <name>', `what it works with from now on; ${DEFAULT_MODEL} for the usual one`)
}

const DEFAULT_MODEL = 'default'
