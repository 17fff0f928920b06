// Which repositories a submodule may name in turn, so that they are read with the owner's credential for its host. Pure.
// Does not protect against a host that lends one namespace to strangers and is not listed here: give its credential few rights.
import { hostText, parseHost } from '../egress/rules/hosts.ts'
import type { RepositoryUrl } from '../git/upstream/repository-url.ts'

/** Where anybody may have repositories, each below a name of their own. */
const PUBLIC_FORGES: ReadonlySet<string> = new Set([
  ...['github.com', 'ssh.github.com', 'gist.github.com', 'gitlab.com', 'altssh.gitlab.com'],
  ...['bitbucket.org', 'altssh.bitbucket.org', 'codeberg.org', 'git.sr.ht', 'gitea.com'],
  ...['dev.azure.com', 'ssh.dev.azure.com', 'gitee.com', 'framagit.org', 'salsa.debian.org'],
])

/**
 * The commit of the session's repository pins the one that names, and so what it names; at the same host it is read as the former
 * is. At a public forge who wrote a submodule may be a stranger, who would decide which of the owner's private repositories are
 * read: there it names what lies below its own first part of the path (`/team/`), and everything only where that is
 * the place of one of the session's own repositories.
 */
export function mayName(
  parent: RepositoryUrl,
  child: RepositoryUrl,
  own: readonly RepositoryUrl[],
): boolean {
  if (!isSamePlace(parent, child)) return false
  if (!PUBLIC_FORGES.has(hostOf(parent))) return true
  const isOwn = own.some((one) => hostOf(one) === hostOf(parent) && isSameGroup(one, parent))
  return isOwn || isSameGroup(parent, child)
}

function isSamePlace(one: RepositoryUrl, other: RepositoryUrl): boolean {
  return one.protocol === other.protocol && one.port === other.port && hostOf(one) === hostOf(other)
}

function hostOf({ host }: RepositoryUrl): string {
  return hostText(parseHost(host))
}

function isSameGroup(one: RepositoryUrl, other: RepositoryUrl): boolean {
  return groupOf(one) === groupOf(other)
}

/** Empty for one that lies right below the host. */
function groupOf({ url }: RepositoryUrl): string {
  const path = url.replace(/^[a-z]+:\/\/[^/]+/, '').replace(/^[^/:]*:/, '')
  const parts = path.split('/').filter((part) => part !== '')
  return parts.length > 1 ? (parts[0] ?? '').toLowerCase() : ''
}
