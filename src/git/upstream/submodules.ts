// Submodules of a session's repository. Which addresses its commit names is read from its objects by git, as data; what one of
// them holds is served from a mirror of its own, for reading only. Who may ask for which is decided by the caller.
import type { IncomingHttpHeaders } from 'node:http'
import type { Git } from '../git-process.ts'
import { SUBMODULE_HEADER } from '../messages.ts'
import type { GitPaths, MirrorKey } from '../paths.ts'
import { CREDENTIAL_HEADER, decodeCredential } from './credential.ts'
import type { Mirrors } from './mirrors.ts'
import { requireRepositoryUrl, type UpstreamTarget } from './upstream-access.ts'

const MOST_URLS = 200
const MOST_BYTES = 256 * 1024

/** As `.gitmodules` of the commit says them, relative ones too. None when it has no such file, or none that git can read. */
export async function readSubmoduleUrls(
  git: Git,
  directory: string,
  commit: string,
): Promise<string[]> {
  const from = ['config', '--blob', `${commit}:.gitmodules`, '--no-includes', '-z']
  const args = [`--git-dir=${directory}`, ...from, '--get-regexp', '^submodule\\..*\\.url$']
  const { exitCode, stdout } = await git.run({ args, maxBytes: MOST_BYTES })
  if (exitCode !== 0) return []
  const values = stdout
    .toString('utf8')
    .split('\0')
    .flatMap((entry) => (entry.includes('\n') ? [entry.slice(entry.indexOf('\n') + 1)] : []))
  return [...new Set(values)].slice(0, MOST_URLS)
}

export interface Submodule {
  key: MirrorKey
  target: UpstreamTarget
}

export function submoduleOf(headers: IncomingHttpHeaders, ownerId: string): Submodule {
  const { url } = requireRepositoryUrl(String(headers[SUBMODULE_HEADER] ?? ''))
  const credential = decodeCredential(headers[CREDENTIAL_HEADER] as string | undefined)
  const key = { url, ownerId, credentialId: credential?.id ?? null }
  return { key, target: { url, credential } }
}

/** The mirror to read from. The upstream is asked, with the credential, whenever somebody begins to read. */
export async function openSubmodule(
  { mirrors, paths }: { mirrors: Mirrors; paths: GitPaths },
  { key, target }: Submodule,
  { advertise, signal }: { advertise: boolean; signal: AbortSignal },
): Promise<string> {
  return advertise ? (await mirrors.open(key, target, { signal })).directory : paths.mirror(key)
}
