// `errand check-tools`: what a sandbox of an environment has, told by the program of that name in a session that is there for
// nothing else: on an empty repository, and removed at the end.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Command } from 'commander'
import { sendUntilAnswered } from '../../client/send-again.ts'
import { AppError } from '../../protocol/errors.ts'
import { addCommand, type Cli, newTurnId, type Running } from '../command.ts'
import { type Connection, InterruptedError } from '../deps.ts'
import { pushCommit } from '../repositories/repository.ts'
import { plainText } from '../terminal/plain-text.ts'

interface Options {
  environment?: string
}

/** A first sandbox may have to wait for its image. */
const LIMIT_MS = 300_000
const NAME = 'check-tools'
const BRANCH = 'main'
const IDENTITY = {
  ...{ GIT_AUTHOR_NAME: 'Errand', GIT_AUTHOR_EMAIL: 'errand@localhost' },
  ...{ GIT_COMMITTER_NAME: 'Errand', GIT_COMMITTER_EMAIL: 'errand@localhost' },
}

export function addCheckTools(cli: Cli, program: Command): void {
  const description = 'the tools in a sandbox, and which registries its network level allows'
  addCommand<Options>(
    cli,
    program,
    { specification: NAME, description, start: true },
    async (_, running) => {
      const { print } = running
      const said = await askSandbox(cli, running)
      if (print.isJson) print.json(parseTools(said))
      else print.line(plainText(said).trimEnd())
    },
  ).option('--environment <name>', 'environment whose sandbox is looked at')
}

async function askSandbox(
  cli: Cli,
  { connection, print, options }: Running<Options>,
): Promise<string> {
  const { client } = connection
  const source = await uploadNothing(cli, connection)
  const prompt = print.isJson ? `${NAME} --json` : NAME
  const { environment } = options
  const task = { prompt, turnId: newTurnId(), kind: 'command' as const, title: NAME }
  const session = await sendUntilAnswered(() =>
    client.createSession({ ...task, source, environment }),
  )
  const interrupted = new AbortController()
  const stopListening = cli.deps.onInterrupt(() => {
    // A second Ctrl-C ends the program at once.
    stopListening()
    interrupted.abort(new InterruptedError())
  })
  try {
    return await readOutput(connection, session.id, interrupted.signal)
  } finally {
    stopListening()
    await client.removeSession(session.id)
  }
}

async function readOutput(
  { client }: Connection,
  sessionId: string,
  interrupted: AbortSignal,
): Promise<string> {
  let output = ''
  const signal = AbortSignal.any([interrupted, AbortSignal.timeout(LIMIT_MS)])
  for await (const item of client.followEvents(sessionId, { signal })) {
    if (item.kind !== 'event') continue
    const { body } = item.event
    if (body.type === 'command.output') output += body.text
    if (body.type === 'session.failed' || body.type === 'turn.failed')
      throw new AppError('unavailable', body.reason, body.message)
    if (body.type === 'turn.completed') {
      if (body.exitCode === 0) return output
      throw new AppError(
        'internal',
        'check_tools_failed',
        `check-tools ended with ${body.exitCode}: ${output}`,
      )
    }
  }
  interrupted.throwIfAborted()
  throw new AppError(
    'unavailable',
    'check_tools_ended',
    'The session ended before check-tools did.',
  )
}

/** A repository with one empty commit. */
async function uploadNothing({ deps, git }: Cli, connection: Connection) {
  const root = await mkdtemp(join(tmpdir(), 'errand-empty-'))
  try {
    await git.run(['init', '--quiet', '--initial-branch', BRANCH], { cwd: root })
    const commit = [
      'commit',
      '--quiet',
      '--no-verify',
      '--no-gpg-sign',
      '--allow-empty',
      '-m',
      'Nothing',
    ]
    await git.run(commit, { cwd: root, env: IDENTITY })
    const upload = await connection.client.createUpload({ name: NAME })
    const push = { root, commit: 'HEAD', branch: BRANCH, gitPath: upload.gitPath }
    await pushCommit(git, connection, deps.env, push)
    return { kind: 'upload' as const, uploadId: upload.id }
  } finally {
    await rm(root, { recursive: true, force: true })
  }
}

function parseTools(said: string): unknown {
  try {
    return JSON.parse(said)
  } catch (error) {
    const message = 'check-tools in the sandbox said something that is not JSON'
    throw new AppError('internal', 'check_tools_failed', message, { cause: error })
  }
}
