// `errand run`: a task goes in, its work is shown, a branch comes out. Also `send` and `fetch`, which share the end.
import { resolve } from 'node:path'
import { type Command, Option } from 'commander'
import type { NewSession } from '../protocol/api.ts'
import { AppError } from '../protocol/errors.ts'
import type { EventBody } from '../protocol/event.ts'
import type { SessionState } from '../protocol/session.ts'
import {
  addCommand,
  type Cli,
  type Printer,
  pageOf,
  type Running,
  sessionId,
  shortId,
} from './command.ts'
import type { Connection, Output } from './deps.ts'
import { type FetchedBranch, fetchBranch } from './fetch-back.ts'
import { plainLine } from './plain-text.ts'
import { createRenderer } from './render.ts'
import {
  commitUncommitted,
  inspectRepository,
  isRemoteUrl,
  type LocalRepository,
  pushCommit,
} from './repository.ts'
import { createResult, exitCodeOf, printResult, type RunResult } from './result.ts'
import { type WatchEnd, watchSession } from './watch.ts'

export interface RunOptions {
  repo?: string
  branch?: string
  environment?: string
  network?: 'none' | 'trusted' | 'custom' | 'full'
  allow?: string[]
  model?: string
  mode?: 'work' | 'ask' | 'plan'
  sandbox?: string
  includeUncommitted?: boolean
  command?: boolean
  detach?: boolean
}

const NAMED_FILES = 5

export function addRunCommands(cli: Cli, program: Command): void {
  const collect = (value: string, before: string[] = []) => [...before, value]
  addCommand<RunOptions>(
    cli,
    program,
    {
      specification: 'run <prompt>',
      description: 'start a session on a repository and watch it work',
      start: true,
    },
    async ([prompt = ''], running) => {
      await runTask(cli, prompt, running)
    },
  )
    .option(
      '--repo <path|url>',
      'the repository: a folder on this disk or a URL; this folder when absent',
    )
    .option('--branch <name>', 'branch to start from')
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
  if (prompt.trim() === '') throw new AppError('invalid', 'prompt_empty', 'say what is to be done')
  const startedAt = Date.now()
  const network = parseNetwork(options)
  const { source, baseBranch, local, leftOut } = await prepareSource(cli, {
    connection,
    print,
    options,
  })
  const { environment, model = null, mode = 'work', sandbox: driver } = options
  const kind = options.command ? 'command' : 'agent'
  const session = await connection.client.createSession({
    ...{ prompt, kind, source, baseBranch, environment, network, driver, mode, model },
  })
  print.line(`session ${shortId(session)}  ${pageOf(connection, session)}`)
  const turnId = session.turn?.id ?? session.queue[0]?.id
  const end = options.detach
    ? 'detached'
    : await watchTurn(cli, { connection, print, session, turnId, liveFrom: 0 })
  const facts = { connection, print, sessionId: session.id, end, startedAt, local, leftOut }
  return finish(cli, facts)
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

interface PreparedSource {
  source: NewSession['source']
  baseBranch: string | null
  local: LocalRepository | null
  leftOut: string[]
}

async function prepareSource(
  { deps, git }: Cli,
  { connection, print, options }: Running<RunOptions>,
): Promise<PreparedSource> {
  const { repo = deps.cwd, branch, includeUncommitted = false } = options
  if (isRemoteUrl(repo)) {
    return {
      source: { kind: 'remote', url: repo },
      baseBranch: branch ?? null,
      local: null,
      leftOut: [],
    }
  }
  const path = resolve(deps.cwd, repo.replace(/^file:\/\//i, ''))
  const local = await inspectRepository(git, path, branch)
  const { uncommitted } = local
  const isTaken = includeUncommitted && uncommitted.length > 0
  const commit = isTaken ? await commitUncommitted(git, local) : local.commit
  if (!isTaken && uncommitted.length > 0) print.note(nameLeftOut(uncommitted))
  const upload = await connection.client.createUpload({ name: local.name.slice(0, 100) })
  const push = { root: local.root, commit, branch: local.branch, gitPath: upload.gitPath }
  await pushCommit(git, connection, deps.env, push)
  const source = { kind: 'upload' as const, uploadId: upload.id, origin: local.origin }
  return { source, baseBranch: local.branch, local, leftOut: isTaken ? [] : uncommitted }
}

function nameLeftOut(files: string[]): string {
  const named = files.slice(0, NAMED_FILES).map(plainLine).join(', ')
  const more = files.length > NAMED_FILES ? ` and ${files.length - NAMED_FILES} more` : ''
  return `Not committed and left out: ${named}${more} (--include-uncommitted takes them along).`
}

interface WatchedTurn {
  connection: Connection
  print: Printer
  session: SessionState
  turnId: string | undefined
  liveFrom: number
}

function watchTurn(
  cli: Cli,
  { connection, print, session, turnId, liveFrom }: WatchedTurn,
): Promise<WatchEnd> {
  const renderer = createRenderer({
    output: print.isJson ? NOWHERE : cli.deps.stdout,
    quietUntil: liveFrom,
  })
  return watchSession(print.isJson ? { ...cli, deps: { ...cli.deps, prompt: undefined } } : cli, {
    ...{ connection, sessionId: session.id, renderer, liveFrom, unanswered: 'end' },
    isOver: (view, { seq, body }) =>
      seq > liveFrom && (view.session?.lastTurn?.id === turnId || endsTurn(body, turnId)),
  })
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
  sessionId: string
  end: WatchEnd
  startedAt: number
  local: Pick<LocalRepository, 'root'> | null
  leftOut: string[]
}

async function finish(cli: Cli, ended: Ended): Promise<RunResult> {
  const { connection, print, end, startedAt, local, leftOut } = ended
  const session = await connection.client.getSession(ended.sessionId)
  const isOver = end === 'over'
  // Without a commit to start from there is nothing to compare.
  const hasBegun = session.repository.commit !== null
  const diff = isOver && hasBegun ? await connection.client.getDiff(session.id) : null
  const hasWork = diff !== null && diff.head !== diff.base
  const fetched =
    local && hasWork
      ? await fetchBranch(cli.git, connection, cli.deps.env, { root: local.root, session })
      : null
  const durationMs = Date.now() - startedAt
  const result = createResult({ connection, session, diff, durationMs, fetched, leftOut })
  print.json(result)
  if (isOver) {
    printResult(print, result)
    cli.setExitCode(exitCodeOf(result))
  } else sayHowToComeBack(print, session, end)
  if (end === 'waiting') cli.setExitCode(exitCodeOf(result))
  return result
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
    { specification: 'send <id> <text>', description: 'say something more to a session' },
    async ([id, text = ''], { connection, print, options }) => {
      const startedAt = Date.now()
      const session = await connection.client.getSession(sessionId(id))
      const kind = options.command ? 'command' : 'agent'
      const { turnId } = await connection.client.sendMessage(session.id, { text, kind })
      const end = options.detach
        ? 'detached'
        : await watchTurn(cli, { connection, print, session, turnId, liveFrom: session.lastSeq })
      const facts = { connection, print, sessionId: session.id, end, startedAt }
      await finish(cli, { ...facts, local: null, leftOut: [] })
    },
  )
    .option('--command', 'the text is a shell command')
    .option('--detach', 'do not watch')
}

function addFetch(cli: Cli, program: Command): void {
  addCommand<{ repo?: string }>(
    cli,
    program,
    {
      specification: 'fetch <id>',
      description: "bring a session's branch into the repository here",
    },
    async ([id], { connection, print, options }) => {
      const session = await connection.client.getSession(sessionId(id))
      const { root } = await inspectRepository(cli.git, options.repo ?? cli.deps.cwd, undefined)
      const fetched = await fetchBranch(cli.git, connection, cli.deps.env, { root, session })
      print.json({ sessionId: session.id, ...fetched })
      print.line(describeFetched(fetched))
    },
  ).option('--repo <path>', 'the repository; this folder when absent')
}

function describeFetched({ branch, commit, how }: FetchedBranch): string {
  const what = how === 'same' ? 'is there already' : `was ${how}`
  return `branch ${plainLine(branch)} ${what} at ${commit.slice(0, 10)}: git switch ${plainLine(branch)}`
}
