// `errand run`: a task goes in, its work is shown, a branch comes out. Also `send` and `fetch`, which share the end.
import { type Command, Option } from 'commander'
import { sendUntilAnswered } from '../../client/send-again.ts'
import type { NewMessage, NewSession } from '../../protocol/api.ts'
import { AppError, toAppError } from '../../protocol/errors.ts'
import type { EventBody } from '../../protocol/event.ts'
import type { SessionState } from '../../protocol/session.ts'
import {
  addCommand,
  type Cli,
  newTurnId,
  type Printer,
  pageOf,
  type Running,
  sessionId,
  shortId,
} from '../command.ts'
import type { Connection, Output } from '../deps.ts'
import { type FetchedBranch, fetchBranch } from '../repositories/fetch-back.ts'
import { inspectRepository } from '../repositories/repository.ts'
import { fittingIn, namedIn } from '../repositories/session-repositories.ts'
import { prepareSources, type SourceOptions } from '../repositories/sources.ts'
import { createResult, exitCodeOf, type FoundWork, printResult, type RunResult } from '../result.ts'
import { plainLine } from '../terminal/plain-text.ts'
import { createRenderer } from '../terminal/render.ts'
import { type WatchEnd, watchSession } from '../terminal/watch.ts'

export interface RunOptions extends SourceOptions {
  environment?: string
  network?: 'none' | 'trusted' | 'custom' | 'full'
  allow?: string[]
  model?: string
  mode?: 'work' | 'ask' | 'plan'
  sandbox?: string
  command?: boolean
  detach?: boolean
}

export function addRunCommands(cli: Cli, program: Command): void {
  const collect = (value: string, before: string[] = []) => [...before, value]
  addCommand<RunOptions>(
    cli,
    program,
    {
      specification: 'run <prompt>',
      description:
        'start a session on a repository and watch it work; - reads the prompt from stdin',
      start: true,
      check: ([prompt = ''], options) => {
        requireWords(prompt)
        parseNetwork(options)
      },
    },
    async ([prompt = ''], running) => {
      await runTask(cli, await wordsOf(cli, prompt), running)
    },
  )
    .option(
      '--repo <path|url>',
      'a repository: a folder on this disk or a URL, with @branch behind it; this folder when absent; may be repeated, the first is the main one',
      collect,
    )
    .option('--repo-read-only <path|url>', 'one more that is read and never pushed to', collect)
    .option('--branch <name>', 'branch of the main repository to start from')
    .option('--environment <name>', 'environment to work in')
    .addOption(
      new Option('--network <level>', 'what may be reached').choices([
        'none',
        'trusted',
        'custom',
        'full',
      ]),
    )
    .option('--allow <domain>', 'a domain that may be reached; may be repeated', collect)
    .option('--model <name>', 'model to work with')
    .addOption(new Option('--mode <mode>', 'how to work').choices(['work', 'ask', 'plan']))
    .option('--sandbox <driver>', 'kind of sandbox')
    .option('--include-uncommitted', 'take what is not committed along')
    .option('--command', 'the prompt is a shell command that runs without the agent')
    .option('--detach', 'start it and do not watch')
  addSend(cli, program)
  addFetch(cli, program)
}

export async function runTask(
  cli: Cli,
  prompt: string,
  { connection, print, options }: Running<RunOptions>,
): Promise<RunResult> {
  requireWords(prompt)
  const startedAt = Date.now()
  const network = parseNetwork(options)
  const { main, additional } = await prepareSources(cli, { connection, print, options })
  const { source, baseBranch } = main
  const { environment, model = null, mode = 'work', sandbox: driver } = options
  const kind = options.command ? 'command' : 'agent'
  const turnId = newTurnId()
  const task: NewSession = {
    ...{ prompt, turnId, kind, source, baseBranch, environment, network, driver, mode, model },
    additional: additional.map((one) => {
      return { source: one.source, baseBranch: one.baseBranch, access: one.access }
    }),
  }
  const session = await sendUntilAnswered(() => connection.client.createSession(task))
  print.line(`session ${shortId(session)}  ${pageOf(connection, session)}`)
  const watched = options.detach
    ? DETACHED
    : await watchTurn(cli, { connection, print, session, turnId, liveFrom: 0 })
  const all = [main, ...additional]
  const leftOut = all.flatMap((one) => one.leftOut)
  const roots = all.map(({ local }) => local?.root ?? null)
  const facts = { connection, print, session, turnId, watched, startedAt }
  return finish(cli, { ...facts, roots, leftOut })
}

/** `-` stands for standard input: one argument cannot be longer than 128 KiB, and a file needs no quoting. */
async function wordsOf({ deps }: Cli, text: string): Promise<string> {
  return text === '-' ? deps.readStdin() : text
}

function requireWords(text: string): void {
  if (text.trim() === '') throw new AppError('invalid', 'prompt_empty', 'say what is to be done')
}

function parseNetwork({ network, allow = [] }: RunOptions): NewSession['network'] {
  if (allow.length === 0) {
    if (network !== 'custom') return network && { level: network }
    throw new AppError('invalid', 'domains_missing', '--network custom needs at least one --allow')
  }
  if (network !== undefined && network !== 'custom') {
    throw new AppError('invalid', 'network_unfitting', '--allow goes with --network custom only')
  }
  return { level: 'custom', domains: allow, includeTrusted: network === undefined }
}

interface TurnToWatch {
  connection: Connection
  print: Printer
  session: SessionState
  turnId: string | undefined
  liveFrom: number
}

interface WatchedTurn {
  end: WatchEnd
  /** The session as it was seen last; when its turn ended, it may have gone on since. */
  seen: SessionState | null
}

const DETACHED: WatchedTurn = { end: 'detached', seen: null }

async function watchTurn(
  cli: Cli,
  { connection, print, session, turnId, liveFrom }: TurnToWatch,
): Promise<WatchedTurn> {
  const renderer = createRenderer({
    output: print.isJson ? NOWHERE : cli.deps.stdout,
    quietUntil: liveFrom,
    plainText: cli.plainText,
  })
  const quiet = print.isJson ? { ...cli, deps: { ...cli.deps, prompt: undefined } } : cli
  const end = await watchSession(quiet, {
    ...{ connection, sessionId: session.id, renderer, liveFrom, unanswered: 'end' },
    isOver: ({ session: seen }, { seq, body }) =>
      seq > liveFrom && (seen?.lastTurn?.id === turnId || endsTurn(body, turnId)),
  })
  return { end, seen: renderer.view().session }
}

/** The turn will not end any more: it cannot begin, or was taken back. */
function endsTurn(body: EventBody, turnId: string | undefined): boolean {
  switch (body.type) {
    case 'session.failed':
    case 'session.archived':
      return true
    case 'message.withdrawn':
      return body.turnId === turnId
    default:
      return false
  }
}

const NOWHERE: Output = { write: () => undefined, isTTY: false, columns: () => undefined }

interface Ended {
  connection: Connection
  print: Printer
  /** As it began here. */
  session: SessionState
  turnId: string
  watched: WatchedTurn
  startedAt: number
  /** Of the main repository and each additional one: where it lies on this disk. */
  roots: (string | null)[]
  leftOut: string[]
}

async function finish(cli: Cli, ended: Ended): Promise<RunResult> {
  const { connection, print, startedAt, roots, leftOut } = ended
  const { end, seen } = ended.watched
  const isOver = end === 'over'
  const session = await readSession(ended)
  // Without a commit to start from there is nothing to compare.
  const hasBegun = isOver && session.repository.commit !== null
  const places = [null, ...session.additional.map(({ name }) => name)]
  const found: FoundWork[] = []
  let unfetched = 0
  for (const [index, name] of places.entries()) {
    const work = { connection, session, name, root: roots[index] ?? null }
    if (!hasBegun || !isPushed(session, name)) {
      found.push({ name, diff: null, fetched: null })
      continue
    }
    found.push(
      await findWork(cli, work, (error) => {
        unfetched = error.exitCode
        sayUnfetched(print, session, error)
      }),
    )
  }
  const durationMs = Date.now() - startedAt
  const { turnId } = ended
  const facts = { connection, session, found, durationMs, leftOut, turnId }
  const atEnd = isOver ? seen : null
  const result = createResult({ ...facts, atEnd, isUnfinished: !isOver })
  print.json(result)
  if (isOver) {
    printResult(print, result)
    cli.setExitCode(exitCodeOf(result) || unfetched)
  } else sayHowToComeBack(print, session, end)
  if (end === 'waiting') cli.setExitCode(exitCodeOf(result))
  return result
}

/** Who lets go of it while Errand cannot be reached is told of the session as it was seen last. */
async function readSession({ connection, session, watched }: Ended): Promise<SessionState> {
  const read = () => connection.client.getSession(session.id)
  if (watched.end === 'over') return sendUntilAnswered(read)
  try {
    return await read()
  } catch (error) {
    if (!(error instanceof AppError && error.code === 'unavailable')) throw error
    return watched.seen ?? session
  }
}

interface Work {
  connection: Connection
  session: SessionState
  /** Null: the main repository. */
  name: string | null
  root: string | null
}

/** What was done is told also where it cannot be fetched. */
async function findWork(
  cli: Cli,
  { connection, session, name, root }: Work,
  onUnfetched: (error: AppError) => void,
): Promise<FoundWork> {
  const repository = name ?? undefined
  const diff = await sendUntilAnswered(() => connection.client.getDiff(session.id, repository))
  if (root === null || diff.head === diff.base) return { name, diff, fetched: null }
  try {
    const place = { root, session, repository }
    return { name, diff, fetched: await fetchBranch(cli.git, connection, cli.deps.env, place) }
  } catch (error) {
    onUnfetched(toAppError(error))
    return { name, diff, fetched: null }
  }
}

function sayUnfetched(print: Printer, session: SessionState, error: AppError): void {
  const why = `${plainLine(error.message)} (${plainLine(error.reason)})`
  print.note(`errand: ${why}. Its branch comes here with: errand fetch ${shortId(session)}`)
}

function isPushed({ additional }: SessionState, name: string | null): boolean {
  return name === null || additional.some((one) => one.name === name && one.access === 'write')
}

function sayHowToComeBack(print: Printer, session: SessionState, end: WatchEnd): void {
  const id = shortId(session)
  if (end === 'waiting') {
    print.hint(`It waits for an answer: errand answer ${id}, then errand logs ${id} --follow`)
    return
  }
  print.hint(`It goes on without this terminal. Come back: errand logs ${id} --follow`)
  print.hint(`Its branch, when there is one: errand fetch ${id}`)
}

function addSend(cli: Cli, program: Command): void {
  addCommand<{ command?: boolean; detach?: boolean }>(
    cli,
    program,
    {
      specification: 'send <id> <text>',
      description: 'say something more to a session; - reads it from stdin',
    },
    async ([id, text = ''], { connection, print, options }) => {
      const startedAt = Date.now()
      const words = await wordsOf(cli, text)
      requireWords(words)
      const session = await connection.client.getSession(sessionId(id))
      const kind = options.command ? 'command' : 'agent'
      const turnId = newTurnId()
      const message: NewMessage = { text: words, kind, turnId }
      await sendUntilAnswered(() => connection.client.sendMessage(session.id, message))
      const watched = options.detach
        ? DETACHED
        : await watchTurn(cli, { connection, print, session, turnId, liveFrom: session.lastSeq })
      const facts = { connection, print, session, turnId, watched, startedAt }
      await finish(cli, { ...facts, roots: [], leftOut: [] })
    },
  )
    .option('--command', 'the text is a shell command')
    .option('--detach', 'do not watch')
}

function addFetch(cli: Cli, program: Command): void {
  addCommand<{ repo?: string; repository?: string }>(
    cli,
    program,
    {
      specification: 'fetch <id>',
      description: "bring a session's branch into the repository here",
    },
    async ([id], { connection, print, options }) => {
      const session = await connection.client.getSession(sessionId(id))
      const local = await inspectRepository(cli.git, options.repo ?? cli.deps.cwd, undefined)
      const repository = options.repository
        ? namedIn(session, options.repository)
        : fittingIn(session, local)
      const place = { root: local.root, session, repository }
      const fetched = await fetchBranch(cli.git, connection, cli.deps.env, place)
      print.json({ sessionId: session.id, ...fetched })
      print.line(describeFetched(fetched))
    },
  )
    .option('--repo <path>', 'the repository; this folder when absent')
    .option('--repository <name>', "whose branch, of a session's; the one that fits when absent")
}

function describeFetched({ branch, commit, how }: FetchedBranch): string {
  const what = how === 'same' ? 'is there already' : `was ${how}`
  return `branch ${plainLine(branch)} ${what} at ${commit.slice(0, 10)}: git switch ${plainLine(branch)}`
}
