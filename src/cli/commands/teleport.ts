// `errand teleport`: a session's branch and conversation come to this machine, to be gone on with in Claude Code here. A copy:
// the session stays as it is, and what is done here does not go back.
import { randomUUID } from 'node:crypto'
import type { Command } from 'commander'
import { AppError } from '../../protocol/errors.ts'
import type { SessionState } from '../../protocol/session.ts'
import { addCommand, type Cli, type Running, sessionId, shortId } from '../command.ts'
import type { Connection } from '../deps.ts'
import { fetchConversation, placeConversation } from '../repositories/conversation.ts'
import { type FetchedBranch, fetchBranch } from '../repositories/fetch-back.ts'
import { gitFailure } from '../repositories/git.ts'
import { inspectRepository, type LocalRepository } from '../repositories/repository.ts'
import { isOrigin } from '../repositories/session-repositories.ts'
import { plainLine } from '../terminal/plain-text.ts'

interface Options {
  repo?: string
}

export function addTeleport(cli: Cli, program: Command): void {
  addCommand<Options>(
    cli,
    program,
    {
      specification: 'teleport <id>',
      description: 'go on with a session here: its branch is checked out, its conversation resumed',
    },
    ([id], running) => teleport(cli, sessionId(id), running),
  ).option('--repo <path>', 'the clone of its main repository; this folder when absent')
}

async function teleport(cli: Cli, id: string, { connection, print, options }: Running<Options>) {
  const { git } = cli
  const { env, cwd } = cli.deps
  const session = await connection.client.getSession(id)
  const local = await inspectRepository(git, options.repo ?? cwd, undefined)
  await requireClone(cli, session, local)
  const saved = await fetchConversation(git, connection, env, session)
  if (session.turn)
    print.note('errand: it is still working; what comes here is as of its last save')
  const fetched = await fetchPushed(cli, connection, { root: local.root, session })
  if (fetched) await switchTo(cli, local.root, fetched.branch)
  const conversationId = randomUUID()
  const place = { folder: local.root, conversationId }
  const file = await placeConversation(env, saved, place)
  const { branch = null, commit = null } = fetched ?? {}
  print.json({ sessionId: session.id, conversationId, folder: local.root, file, branch, commit })
  print.line(
    branch === null
      ? `${shortId(session)} has pushed nothing: the branch here stays as it is`
      : `${shortId(session)} is here, on branch ${plainLine(branch)}`,
  )
  print.hint(`go on with: cd ${quoted(local.root)} && claude --resume ${conversationId}`)
}

/** Its branch would be of no use elsewhere, and the conversation would speak of other files. */
async function requireClone(
  { git }: Cli,
  { repository }: SessionState,
  local: LocalRepository,
): Promise<void> {
  if (local.isBare) {
    const message = `${plainLine(local.root)} has no work tree: name a clone that has one with --repo`
    throw new AppError('invalid', 'work_tree_missing', message)
  }
  const { commit, url, name } = repository
  if (isOrigin(url, local.origin)) return
  const known = ['cat-file', '-e', `${commit}^{commit}`]
  if (commit !== null && (await git.try(known, { cwd: local.root })).exitCode === 0) return
  const message = `${plainLine(local.root)} is no clone of ${plainLine(name)}: name one with --repo`
  throw new AppError('conflict', 'repository_unfitting', message)
}

/** Null where nothing was pushed: a question may have been all. */
async function fetchPushed(
  { git, deps: { env } }: Cli,
  connection: Connection,
  place: { root: string; session: SessionState },
): Promise<FetchedBranch | null> {
  try {
    return await fetchBranch(git, connection, env, place)
  } catch (error) {
    if (error instanceof AppError && error.reason === 'branch_not_pushed') return null
    throw error
  }
}

/** Git itself refuses where something that is not committed would be lost. */
async function switchTo({ git }: Cli, root: string, branch: string): Promise<void> {
  const { exitCode, stderr } = await git.try(['switch', '--quiet', branch], { cwd: root })
  if (exitCode === 0) return
  if (!/would be overwritten|commit your changes or stash/.test(stderr))
    throw gitFailure('switch', stderr)
  const message = `the branch ${plainLine(branch)} is here and could not be checked out over changes that are not committed: commit or stash them, then do it again`
  throw new AppError('conflict', 'uncommitted_changes', message)
}

function quoted(path: string): string {
  const text = plainLine(path)
  return /^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
}
