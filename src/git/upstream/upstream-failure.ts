// Why git could not talk to an upstream, read from what it printed (LC_ALL=C). Pure.
import { AppError, type ErrorCode } from '../../protocol/errors.ts'

export interface UpstreamFailure {
  code: ErrorCode
  reason: string
  message: string
}

interface Rule extends UpstreamFailure {
  pattern: RegExp
}

const rule = (pattern: RegExp, code: ErrorCode, reason: string, message: string): Rule => ({
  pattern,
  code,
  reason,
  message,
})

export const NO_ROOM = /^(?!remote: ).*(No space left on device|Disk quota exceeded)/m

/** The first match wins, so what is said precisely comes before what git says at the end of every failure. */
const RULES: readonly Rule[] = [
  rule(
    // Of this machine: what the host says of its own begins with "remote:".
    NO_ROOM,
    'no_space',
    'disk_full',
    'There is no space left on the disk of Errand.',
  ),
  rule(
    // Not the words about a branch that has the name of a folder of branches, which stay.
    /^remote: error: cannot lock ref '.*': (reference already exists|is at [0-9a-f]+ but expected|Unable to create '.*\.lock')/m,
    'unavailable',
    'upstream_ref_busy',
    'Another push of the branch has not ended at the host.',
  ),
  rule(
    // Also where its hooks decline for that reason, or it says so of the branch itself.
    /^(?:remote: (?:\w+: )?(?:\d+ )?|\[remote rejected\] \()Internal (?:Server|API)\b/im,
    'unavailable',
    'upstream_broken',
    'The host has an error of its own.',
  ),
  rule(
    // The last is what the proxy itself says where it is asked without CONNECT, for http.
    /HTTP code 403 from proxy|CONNECT tunnel failed, response 403|returned error: 451|^remote: Errand refused \S+ \(/im,
    'forbidden',
    'upstream_not_allowed',
    'This installation does not allow git to reach that host.',
  ),
  rule(
    /Host key verification failed|REMOTE HOST IDENTIFICATION HAS CHANGED/i,
    'forbidden',
    'upstream_host_key_changed',
    'The host showed another ssh key than before.',
  ),
  rule(
    /unable to update url base from redirection|returned error: 30[1278]/i,
    'forbidden',
    'upstream_redirected',
    'The host answers with a redirect, which is not followed with a credential: give the address that it leads to.',
  ),
  rule(
    /could not read Username|Authentication failed|returned error: 40[13]|Permission denied|Permission to .+ denied|access denied|HTTP Basic: Access denied/i,
    'forbidden',
    'repository_access_denied',
    'The host refuses access to the repository.',
  ),
  rule(
    // Of a push over ssh, where no status says so.
    /^(?:remote: )?(?:ERROR|GitLab): .*(?:marked as read only|so it is read-only|not have write access|not allowed to push)/m,
    'forbidden',
    'repository_access_denied',
    'The host takes no push from this key, or none to this repository.',
  ),
  rule(
    /repository '.*' not found|returned error: 404|Repository not found|does not appear to be a git repository|project you were looking for could not be found|not valid: is this a git repository/i,
    'not_found',
    'repository_not_found',
    'The host knows no such repository.',
  ),
  rule(
    /^fatal: mismatched algorithms: client sha1/m,
    'unsupported',
    'upstream_sha256',
    'A repository with SHA-256 ids cannot be worked on.',
  ),
  rule(
    /returned error: 429/i,
    'rate_limited',
    'upstream_rate_limited',
    'The host asks for fewer requests.',
  ),
  rule(
    // Often of a proxy in front of it, at 1 MiB.
    /returned error: 413/i,
    'too_large',
    'upstream_too_large',
    'The host takes no push of this size.',
  ),
  rule(
    /Could not resolve|Failed to connect|Couldn't connect|Connection refused|Connection reset|Connection closed|Connection timed out|No route to host|SSL|certificate|from proxy after CONNECT|CONNECT tunnel failed|Empty reply|hung up|Operation too slow|transfer closed|returned error: 5\d\d|kex_exchange_identification|early EOF/i,
    'unavailable',
    'upstream_unreachable',
    'The host cannot be reached.',
  ),
]

export function explainFailure(stderr: string): UpstreamFailure {
  const found = RULES.find(({ pattern }) => pattern.test(stderr))
  const { code, reason, message } = found ?? {
    code: 'unavailable' as const,
    reason: 'upstream_failed',
    message: 'git could not talk to the host.',
  }
  const said = lastWords(stderr)
  return { code, reason, message: said === '' ? message : `${message} git said: ${said}` }
}

/** Of an access that is denied: the host does not know who asks. What somebody may not do there it says in other words. */
export function isStranger(stderr: string): boolean {
  return /could not read Username|Authentication failed|returned error: 401|Permission denied \([a-z,-]*publickey/i.test(
    stderr,
  )
}

export function upstreamError(stderr: string): AppError {
  const { code, reason, message } = explainFailure(stderr)
  return new AppError(code, reason, message)
}

/** Of a fetch: only single refs could not be written, whose names are too long for the disk, say; the others are there. */
export function isButForRefs(stderr: string): boolean {
  return (
    !/^fatal: /m.test(stderr) &&
    !NO_ROOM.test(stderr) &&
    /unable to update local ref|cannot lock ref|unable to create/i.test(stderr)
  )
}

/** Failures after which the same push may well succeed; all others are the host's own refusal. */
export function isPassing(reason: string): boolean {
  return [
    'upstream_ref_busy',
    'upstream_broken',
    'upstream_unreachable',
    'upstream_rate_limited',
    'upstream_failed',
    'upstream_timeout',
    'disk_full',
  ].includes(reason)
}

function lastWords(stderr: string): string {
  return stderr
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !/^(warning|hint): /i.test(line))
    .slice(-3)
    .join(' / ')
    .slice(-1000)
}
