// Looking at sessions and steering them: sessions, show, answer, allow, grant.
import { type Command, Option } from 'commander'
import { sendUntilAnswered } from '../../client/send-again.ts'
import type { SessionAnswer, SessionSummary } from '../../protocol/api.ts'
import { describeNetwork } from '../../protocol/environment.ts'
import { AppError } from '../../protocol/errors.ts'
import { STATE_UNREADABLE } from '../../protocol/found-session.ts'
import { DOOR_HOST } from '../../protocol/network.ts'
import {
  type AdditionalState,
  grantedOf,
  type PushGrants,
  type Question,
  repositoryOf,
  SESSION_STATUSES,
  type SessionState,
} from '../../protocol/session.ts'
import { addCommand, type Cli, type Printer, sessionId, shortId } from '../command.ts'
import { InterruptedError } from '../deps.ts'
import { namedIn } from '../repositories/session-repositories.ts'
import { requestUrlOf } from '../result.ts'
import { askQuestion, parseAnswer } from '../terminal/ask.ts'
import {
  formatCount,
  formatDuration,
  formatPlace,
  formatTable,
  formatUsage,
} from '../terminal/format.ts'
import { mapTexts, oneLine, plainLine } from '../terminal/plain-text.ts'
import { renderQuestion } from '../terminal/render-item.ts'
import { addDiff } from './diff.ts'

export function addSessionCommands(cli: Cli, program: Command): void {
  addList(cli, program)
  addCommand(
    cli,
    program,
    { specification: 'show <id>', description: 'the state of a session' },
    async ([id], { connection, print }) => {
      const session = await connection.client.getSession(sessionId(id))
      print.json(session)
      if (!print.isJson) showSession(print, mapTexts(session, cli.plainText))
    },
  )
  addDiff(cli, program)
  addAnswer(cli, program)
  addAllow(cli, program)
  addGrant(cli, program)
}

interface ListOptions {
  all?: boolean
  status?: string
}

function addList(cli: Cli, program: Command): void {
  addCommand<ListOptions>(
    cli,
    program,
    {
      specification: 'sessions [words...]',
      description:
        'list sessions, latest change first; those with these words in title or repository',
    },
    async (words, { connection, print, options }) => {
      const archived = options.all === true || options.status === 'archived'
      const all: SessionSummary[] = []
      let before: string | undefined
      do {
        const page = await connection.client.listSessions({ limit: 200, before, archived })
        all.push(...page.sessions)
        before = page.next ?? undefined
      } while (before !== undefined)
      const sessions = all.filter((session) => isWanted(session, words, options.status))
      print.json(sessions)
      if (sessions.length === 0 && all.length > 0) {
        print.line('There are none like that.')
        return
      }
      if (sessions.length === 0) {
        print.line('There are no sessions yet: errand run "<prompt>" --repo <path|url> starts one.')
        return
      }
      const rows = sessions.map((session) => [
        ...[shortId(session), describeStatus(session), namesOf(session)],
        ...[session.updatedAt.slice(0, 16).replace('T', ' '), session.title],
      ])
      const header = ['id', 'status', 'repository', 'changed (UTC)', 'title']
      const columns = cli.deps.stdout.isTTY ? cli.deps.stdout.columns() : undefined
      print.line(formatTable(header, rows, columns).trimEnd())
    },
  )
    .option('--all', 'archived ones too')
    .addOption(new Option('--status <status>', 'only these').choices(SESSION_STATUSES))
}

function isWanted(
  session: SessionSummary,
  words: readonly string[],
  status: string | undefined,
): boolean {
  const text = `${session.title}\n${namesOf(session)}\n${session.id}`.toLowerCase()
  if (status !== undefined && session.status !== status) return false
  return words.every((word) => text.includes(word.toLowerCase()))
}

function namesOf({ repository, additional }: SessionSummary): string {
  return additional.length === 0 ? repository.name : `${repository.name} +${additional.length}`
}

function describeStatus({ status, openQuestions, place, failure }: SessionSummary): string {
  if (failure?.reason === STATE_UNREADABLE) return 'unreadable'
  if (openQuestions > 0) return '◆ needs you'
  return place ? `${status}, ${formatPlace(place)}` : status
}

/** Its texts are safe for a terminal. */
function showSession(print: Printer, session: SessionAnswer): void {
  const { repository, environment, sandbox, failure, changes, usage, queue, turn } = session
  const commit = repository.commit === null ? '' : ` from ${repository.commit.slice(0, 10)}`
  const rows: [string, string][] = [
    ['session', session.id],
    ['title', session.title],
    [
      'status',
      [session.status, session.place && formatPlace(session.place)].filter(Boolean).join(', '),
    ],
    ...(failure
      ? ([['failure', `${failure.message} (${failure.reason})`]] as [string, string][])
      : []),
    ['repository', addressOf(repository) ?? repository.name],
    ['branch', `${repository.branch}${commit}`],
    ...describeGrants(session.pushGrants),
    ['environment', `${environment.name}, network ${environment.network.level}`],
    ['sandbox', [sandbox.state, sandbox.isolation].filter(Boolean).join(', ')],
    [
      'phases',
      sandbox.phases
        .map(({ name, durationMs, kept }) =>
          kept ? `${name} kept` : `${name} ${formatDuration(durationMs ?? 0)}`,
        )
        .join(', '),
    ],
    ['turn', turn?.text ?? 'none'],
    ['queued', String(queue.length)],
    ['changes', describeChanges(changes)],
    ...describeOutward(session.id, session.outward),
    ...describeRequest(repository, session.outward),
    ...session.additional.flatMap((one) => describeAdditional(session.id, one)),
    ['model', formatUsage(usage)],
  ]
  for (const [name, value] of rows) print.line(`${name.padEnd(12)} ${oneLine(value)}`)
  for (const question of session.questions) print.line(renderQuestion(question).join('\n'))
}

/** Null for a folder without one: what stands for it inside means nothing out here. */
function addressOf({ url }: SessionState['repository']): string | null {
  return url.startsWith(`http://${DOOR_HOST}/`) ? null : url || null
}

function describeGrants({ branches, rewrite }: PushGrants): [string, string][] {
  if (branches.length === 0 && !rewrite) return []
  return [['may push', [...(rewrite ? ['its branch anew'] : []), ...branches].join(', ')]]
}

function describeChanges(changes: SessionState['changes']): string {
  if (!changes) return 'none'
  return `${formatCount(changes.filesChanged, 'file')}, +${changes.insertions} −${changes.deletions}`
}

function describeAdditional(id: string, additional: AdditionalState): [string, string][] {
  const { name, commit, access, changes, outward, pushGrants } = additional
  const from = commit === null ? '' : ` from ${commit.slice(0, 10)}`
  const what = access === 'read' ? 'read only' : describeChanges(changes)
  return [
    ['and', `${[name, addressOf(additional)].filter(Boolean).join(': ')}${from}, ${what}`],
    ...describeGrants(pushGrants),
    ...describeOutward(id, outward),
    ...describeRequest(additional, outward),
  ]
}

/** Where a pull or merge request is made of what is outside. */
function describeRequest(
  repository: SessionState['repository'],
  outward: SessionState['outward'],
): [string, string][] {
  const url = requestUrlOf(repository, outward)
  return url === null ? [] : [['request', url]]
}

/** Only while something is here that is not yet outside. */
function describeOutward(id: string, outward: SessionState['outward']): [string, string][] {
  const { state, message, nextAt } = outward
  if (state !== 'kept' && state !== 'refused') return []
  const how = state === 'kept' ? 'kept here, not outside yet' : 'refused by the remote, kept here'
  const next =
    nextAt === null
      ? `errand push ${shortId({ id })} tries again`
      : `next try at ${nextAt.slice(11, 19)} UTC, errand push ${shortId({ id })} tries now`
  return [
    ['outside', [how, message].filter(Boolean).join(': ')],
    ['', next],
  ]
}

interface AnswerOptions {
  question?: string
  allow?: boolean
  deny?: boolean
  message?: string
}

function addAllow(cli: Cli, program: Command): void {
  addCommand<{ environment?: boolean }>(
    cli,
    program,
    {
      specification: 'allow <id> [host]',
      description: 'let a session reach a host; without one, what its repository asks for',
    },
    async ([id, host], { connection, print, options }) => {
      const scope = options.environment ? 'environment' : 'session'
      const session = await connection.client.allow(sessionId(id), scope, host)
      print.json(session)
      const reach = plainLine(describeNetwork(session.environment.network))
      print.line(`${shortId(session)} may reach ${reach}`)
    },
  ).option('--environment', 'in its saved environment as well, and so for later sessions')
}

function addGrant(cli: Cli, program: Command): void {
  addCommand<{ revoke?: boolean; rewrite?: boolean; repository?: string }>(
    cli,
    program,
    {
      specification: 'grant <id> [branch]',
      description: 'let a session push to one more branch, by its name; or rewrite its own',
    },
    async ([id, branch], { connection, print, options }) => {
      const { revoke = false, rewrite, repository: name } = options
      if (branch === undefined && rewrite === undefined)
        throw new AppError('invalid', 'grant_missing', 'name a branch, or say --rewrite')
      const { client } = connection
      const repository =
        name === undefined ? undefined : namedIn(await client.getSession(sessionId(id)), name)
      const branches = revoke ? { revoke: branch } : { grant: branch }
      const change = { ...branches, rewrite, repository }
      const session = await client.changeGrants(sessionId(id), change)
      print.json(session)
      print.line(`${shortId(session)} may push ${plainLine(describeScope(session, repository))}`)
    },
  )
    .option('--revoke', 'take the grant of this branch back')
    .option('--rewrite', 'it may replace commits of its own branch (push --force)')
    .option('--no-rewrite', 'it may not any more')
    .option('--repository <name>', 'in this repository of the session; the main one without')
}

function describeScope(session: SessionState, name: string | undefined): string {
  const place = repositoryOf(session, name) ?? session.repository
  const { branches, rewrite } = grantedOf(session, place)
  const own = `${place.branch}${rewrite ? ' (and rewrite it)' : ''}`
  const where = name === undefined ? '' : `in ${name} `
  return `${where}to ${[own, ...branches].join(', ')}`
}

function addAnswer(cli: Cli, program: Command): void {
  addCommand<AnswerOptions>(
    cli,
    program,
    {
      specification: 'answer <id> [choices...]',
      description: 'answer what the agent asks: numbers or labels of options, or words',
    },
    async ([id, ...choices], { connection, print, options }) => {
      const session = await connection.client.getSession(sessionId(id))
      const question = pickQuestion(session, options.question)
      const allow = options.allow ? true : options.deny ? false : undefined
      const words = { choices, allow, message: options.message }
      const answer = parseAnswer(question, words) ?? (await askHere(cli, question, print))
      const send = () => connection.client.answerQuestion(session.id, question.id, answer)
      const state = await sendUntilAnswered(send)
      print.json(state)
      print.line(`answered: ${plainLine(question.title)}`)
    },
  )
    .option('--question <id>', 'which one, when several are open')
    .option('--allow', 'allow the tool, or go ahead with the plan')
    .option('--deny', 'do not')
    .option('--message <text>', 'say more')
}

function pickQuestion({ questions, id }: SessionState, wanted: string | undefined): Question {
  const fitting = wanted === undefined ? questions : questions.filter((one) => one.id === wanted)
  const [question, second] = fitting
  if (!question) {
    throw new AppError(
      'not_found',
      'question_not_found',
      `${id.slice(0, 8)} asks nothing like that now`,
    )
  }
  if (!second) return question
  const ids = questions.map((one) => plainLine(one.id)).join(', ')
  throw new AppError(
    'conflict',
    'ambiguous_question',
    `several questions are open: --question ${ids}`,
  )
}

function askHere({ deps, plainText }: Cli, question: Question, print: Printer) {
  const { prompt } = deps
  if (!prompt || print.isJson) {
    const message = 'say the answer: choices after the id, or --allow or --deny'
    throw new AppError('invalid', 'answer_missing', message)
  }
  for (const line of renderQuestion(mapTexts(question, plainText))) print.line(line)
  const asked = new AbortController()
  const options = { signal: asked.signal, onInterrupt: () => asked.abort(new InterruptedError()) }
  return askQuestion(question, (text) => prompt(text, options))
}
