// Where the large files of an ssh repository lie: its host says so over ssh (`git-lfs-authenticate`, git-lfs docs/api), asked with
// the session's ssh credential. What it answers, an address and headers that open it, stays on the host.
import { z } from 'zod'
import { lastLines, runProcess } from '../../lib/process.ts'
import { shellQuote } from '../../lib/shell-quote.ts'
import { AppError } from '../../protocol/errors.ts'
import type { GitPaths } from '../paths.ts'
import { redact } from '../upstream/credential.ts'
import type { RepositoryUrl } from '../upstream/repository-url.ts'
import {
  requireRepositoryUrl,
  type UpstreamNetwork,
  withSshConfig,
} from '../upstream/upstream-access.ts'
import { upstreamError } from '../upstream/upstream-failure.ts'
import { type AskOverSsh, endpointBeside, type LfsEndpoint } from './lfs-upstream.ts'

const LIMIT_MS = 60_000
const ANSWER_BYTES = 64 * 1024
/** Of ssh itself: it did not come to the command. */
const SSH_FAILED = 255
const SCP_LIKE = /^(?:([^@]+)@)?([^:]+):(.*)$/
/** As it is: hosts that read the command themselves need not know quotes. */
const PLAIN_PATH = /^[A-Za-z0-9._/+-]+$/

const answerSchema = z.object({
  /** Beside the repository when it is absent or empty. */
  href: z.union([z.literal(''), z.url({ protocol: /^https?$/ }).max(8192)]).default(''),
  header: z.record(z.string().max(200), z.string().max(8192)).default({}),
})

export function createAskOverSsh(deps: {
  paths: GitPaths
  network: UpstreamNetwork
  /** Where ssh is found. */
  path: string
}): AskOverSsh {
  const { paths, path } = deps
  return ({ url, credential, signal }, operation) =>
    withSshConfig(deps, { url, credential }, async (config) => {
      const repository = requireRepositoryUrl(url)
      const address = addressOf(repository)
      const named = PLAIN_PATH.test(address.path) ? address.path : shellQuote(address.path)
      const command = `git-lfs-authenticate ${named} ${operation}`
      const ssh = ['ssh', '-F', config, '-p', String(repository.port), '--', address.destination]
      const result = await runProcess(
        'setpriv',
        ['--pdeathsig', 'KILL', '--no-new-privs', ...ssh, command],
        {
          ...{ cwd: paths.home, env: { PATH: path, HOME: paths.home, LC_ALL: 'C' } },
          ...{ signal: AbortSignal.any([signal, AbortSignal.timeout(LIMIT_MS)]) },
          maxOutputBytes: ANSWER_BYTES,
        },
      )
      const stderr = redact(result.stderr, credential)
      if (result.exitCode === SSH_FAILED) throw upstreamError(stderr)
      if (result.exitCode !== 0) throw notServed(repository, lastLines(stderr, 2))
      return readAnswer(repository, address.path, result.stdout)
    })
}

function readAnswer(repository: RepositoryUrl, path: string, stdout: string): LfsEndpoint {
  const { data } = answerSchema.safeParse(parseJson(stdout))
  if (!data) throw notServed(repository, 'its answer cannot be read')
  const { href, header } = data
  return { href: href || endpointBeside(`https://${repository.host}/${trimmed(path)}`), header }
}

function addressOf({ url }: RepositoryUrl): { destination: string; path: string } {
  if (!url.startsWith('ssh://')) {
    const [, user, host = '', path = ''] = SCP_LIKE.exec(url) ?? []
    return { destination: at(user, host), path }
  }
  const { username, hostname, pathname } = new URL(url)
  // ssh wants an address of version 6 without its brackets.
  return {
    destination: at(username, hostname.replace(/^\[|\]$/g, '')),
    path: decodeURIComponent(pathname),
  }
}

const at = (user: string | undefined, host: string) => (user ? `${user}@${host}` : host)
const trimmed = (path: string) => path.replace(/^\/+/, '')

function notServed({ host }: RepositoryUrl, why: string): AppError {
  const message = `${host} names no place for large files (LFS) over ssh (git-lfs-authenticate): ${why}`
  return new AppError('unsupported', 'lfs_over_ssh', message)
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
