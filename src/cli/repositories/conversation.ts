// The agent's conversation of a session as a transcript that Claude Code on this machine can go on with. It is what the runner
// saved of it, so the agent wrote it: only lines of the conversation itself are taken, and no path of it is used here.
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { AppError } from '../../protocol/errors.ts'
import { SAVED_CONVERSATION_REF } from '../../protocol/saved-refs.ts'
import type { SessionState } from '../../protocol/session.ts'
import type { Connection } from '../deps.ts'
import { doorEnv, type Git, gitFailure } from './git.ts'

const HERE = 'refs/errand/conversation'
const stateSchema = z.object({ conversationId: z.uuid().nullable(), checkout: z.string().min(2) })
/** Not what else stands in a transcript: modes, restore points of files, folders to go to. */
const lineSchema = z.looseObject({ type: z.enum(['user', 'assistant', 'system', 'attachment']) })
/** Claude Code cuts longer names of folders in a way of its own. */
const MOST_NAME_CHARS = 200

export interface SavedConversation {
  transcript: string
  /** Where the repository lay in the sandbox. */
  checkout: string
}

/** As it was saved; the session has to have had a turn of its agent. */
export async function fetchConversation(
  git: Git,
  connection: Connection,
  env: Record<string, string>,
  { id }: Pick<SessionState, 'id'>,
): Promise<SavedConversation> {
  const folder = await mkdtemp(join(tmpdir(), 'errand-conversation-'))
  try {
    await git.run(['init', '--quiet', '--bare', '--template=', '.'], { cwd: folder })
    const url = `${connection.baseUrl}/api/v1/git/sessions/${id}`
    const args = [
      'fetch',
      '--quiet',
      '--no-tags',
      '--depth=1',
      '--',
      url,
      `${SAVED_CONVERSATION_REF}:${HERE}`,
    ]
    const fetched = await git.try(args, { cwd: folder, env: doorEnv(env, connection) })
    if (/couldn't find remote ref/.test(fetched.stderr)) throw nothingSaved()
    if (fetched.exitCode !== 0) throw gitFailure('fetch', fetched.stderr)
    return await readTranscript(git, folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function readTranscript(git: Git, folder: string): Promise<SavedConversation> {
  const state = await git.run(['cat-file', 'blob', `${HERE}:state.json`], { cwd: folder })
  const { conversationId, checkout } = stateSchema.parse(JSON.parse(state))
  if (conversationId === null) throw nothingSaved()
  const listed = await git.run(['ls-tree', '-r', '-z', HERE, 'files/projects/'], { cwd: folder })
  const piece = new RegExp(
    `^100644 blob ([0-9a-f]+)\tfiles/projects/[^/]+/${conversationId}\\.jsonl/\\d+$`,
  )
  const oids = listed.split('\0').flatMap((entry) => piece.exec(entry)?.[1] ?? [])
  if (oids.length === 0) throw nothingSaved()
  const pieces: Buffer[] = []
  for (const oid of oids) {
    // A character may be cut in two: what git prints would not be read as bytes.
    const name = await git.run(['unpack-file', oid], { cwd: folder })
    pieces.push(await readFile(join(folder, name)))
  }
  return { transcript: Buffer.concat(pieces).toString('utf8'), checkout }
}

function nothingSaved(): AppError {
  const message = 'nothing is saved of its conversation yet: it is after a turn of the agent'
  return new AppError('not_found', 'conversation_not_saved', message)
}

export interface Place {
  /** Where Claude Code is to be started. */
  folder: string
  /** A new one, so that nothing that is there is written over. */
  conversationId: string
}

/** Its path. */
export async function placeConversation(
  env: Record<string, string>,
  { transcript, checkout }: SavedConversation,
  { folder, conversationId }: Place,
): Promise<string> {
  const name = folder.replace(/[^A-Za-z0-9]/g, '-')
  if (name.length > MOST_NAME_CHARS) {
    const message = `the path of ${folder} is too long for a conversation to be placed there`
    throw new AppError('unsupported', 'path_too_long', message)
  }
  const home = env.CLAUDE_CONFIG_DIR || join(env.HOME || homedir(), '.claude')
  const project = join(home, 'projects', name)
  const file = join(project, `${conversationId}.jsonl`)
  const move = createMove(checkout, folder)
  const lines = transcript
    .split('\n')
    .flatMap((line) => toLine(line, move, { cwd: folder, sessionId: conversationId }))
  if (lines.length === 0) throw nothingSaved()
  await mkdir(project, { recursive: true, mode: 0o700 })
  await writeFile(file, `${lines.join('\n')}\n`, { flag: 'wx', mode: 0o600 })
  return file
}

/** What the agent may do here is for whoever starts it to say. */
function toLine(
  text: string,
  move: (value: unknown) => unknown,
  place: { cwd: string; sessionId: string },
): string[] {
  const { data } = lineSchema.safeParse(parseJson(text))
  if (!data) return []
  const { permissionMode: _, ...line } = data
  return [JSON.stringify({ ...(move(line) as object), ...place })]
}

/** So that the conversation speaks of the files that are here. What the model signed, its thinking, has to stay as it is. */
function createMove(from: string, to: string): (value: unknown) => unknown {
  const path = new RegExp(`${from.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')}(?![\\w.-])`, 'g')
  const move = (value: unknown): unknown => {
    if (typeof value === 'string') return value.replace(path, () => to)
    if (Array.isArray(value)) return value.map(move)
    if (typeof value !== 'object' || value === null) return value
    if ('signature' in value) return value
    return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, move(one)]))
  }
  return move
}

/** The last line may have been saved in the middle. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
