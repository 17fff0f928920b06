// How one git process reaches an upstream: proxy, certificates, protocol, credential. The credential goes through the
// environment (http) or a private file that is removed afterwards (ssh), never through arguments.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { shellQuote } from '../../lib/shell-quote.ts'
import { AppError } from '../../protocol/errors.ts'
import type { GitStart, Settings } from '../git-process.ts'
import type { GitPaths } from '../paths.ts'
import { httpSettings, type UpstreamCredential } from './credential.ts'
import { parseRepositoryUrl, type RepositoryUrl } from './repository-url.ts'

export interface UpstreamNetwork {
  /** The egress proxy that decides on addresses after it has resolved them; without one git connects itself. */
  proxyUrl?: string
  /** Certificates to trust, instead of those of the system. */
  caFile?: string
  nodePath: string
}

export type UpstreamAccess = Required<Pick<GitStart, 'settings' | 'env' | 'protocols'>>

export interface UpstreamTarget {
  url: string
  credential?: UpstreamCredential | undefined
}

const SSH_CONNECT = fileURLToPath(new URL('./ssh-connect.js', import.meta.url))

export async function withUpstreamAccess<T>(
  deps: { paths: GitPaths; network: UpstreamNetwork },
  target: UpstreamTarget,
  work: (access: UpstreamAccess) => Promise<T>,
): Promise<T> {
  const repository = requireRepositoryUrl(target.url)
  if (repository.protocol === 'ssh') return withSsh(deps, target, work)
  return work({
    settings: [...networkSettings(deps.network), ...httpSettings(repository, target.credential)],
    env: {},
    protocols: 'https:http',
  })
}

export function requireRepositoryUrl(url: string): RepositoryUrl {
  const result = parseRepositoryUrl(url)
  if (!result.ok) throw new AppError('invalid', result.reason, result.message)
  return result.repository
}

function networkSettings({ proxyUrl, caFile }: UpstreamNetwork): Settings {
  return [
    // The proxy is set even when it is none, so that no variable could name another.
    ['http.proxy', proxyUrl ?? ''],
    ['http.lowSpeedLimit', '1'],
    ['http.lowSpeedTime', '60'],
    ...(caFile === undefined ? [] : ([['http.sslCAInfo', caFile]] as const)),
  ]
}

async function withSsh<T>(
  deps: { paths: GitPaths; network: UpstreamNetwork },
  target: UpstreamTarget,
  work: (access: UpstreamAccess) => Promise<T>,
): Promise<T> {
  return withSshConfig(deps, target, (config) =>
    work({
      settings: [],
      env: { GIT_SSH_COMMAND: `ssh -F ${shellQuote(config)}`, GIT_SSH_VARIANT: 'ssh' },
      protocols: 'ssh',
    }),
  )
}

/** `config` is a file for `ssh -F`, which names the key; both are gone when the work has ended. */
export async function withSshConfig<T>(
  { paths, network }: { paths: GitPaths; network: UpstreamNetwork },
  { credential }: UpstreamTarget,
  work: (config: string) => Promise<T>,
): Promise<T> {
  const folder = await mkdtemp(join(paths.temporary, 'ssh-'))
  try {
    const knownHosts = credential?.knownHosts ? join(folder, 'known_hosts') : paths.knownHosts
    const key = credential ? join(folder, 'key') : 'none'
    if (credential) await writePrivate(key, `${credential.secret.trimEnd()}\n`)
    if (credential?.knownHosts) await writePrivate(knownHosts, credential.knownHosts)
    const config = join(folder, 'config')
    const lines = sshConfig({ key, knownHosts, pinned: Boolean(credential?.knownHosts), network })
    await writePrivate(config, lines)
    return await work(config)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function sshConfig(options: {
  key: string
  knownHosts: string
  pinned: boolean
  network: UpstreamNetwork
}): string {
  const { key, knownHosts, pinned, network } = options
  const lines = [
    `IdentityFile ${key === 'none' ? key : sshQuote(key)}`,
    'IdentitiesOnly yes',
    'IdentityAgent none',
    'BatchMode yes',
    'PreferredAuthentications publickey',
    `UserKnownHostsFile ${sshQuote(knownHosts)}`,
    'GlobalKnownHostsFile /dev/null',
    `StrictHostKeyChecking ${pinned ? 'yes' : 'accept-new'}`,
    'ForwardAgent no',
    'ClearAllForwardings yes',
    'ControlPath none',
    'PermitLocalCommand no',
    'ConnectTimeout 20',
    'ServerAliveInterval 15',
    'ServerAliveCountMax 4',
    'LogLevel ERROR',
  ]
  if (network.proxyUrl !== undefined) {
    const command = [network.nodePath, '--no-warnings', SSH_CONNECT, network.proxyUrl].map(
      shellQuote,
    )
    lines.push(`ProxyCommand ${command.join(' ').replaceAll('%', '%%')} %h %p`)
  }
  return `${lines.join('\n')}\n`
}

async function writePrivate(path: string, text: string): Promise<void> {
  await writeFile(path, text, { mode: 0o600, flag: 'wx' })
}

function sshQuote(path: string): string {
  return `"${path.replaceAll('%', '%%')}"`
}
