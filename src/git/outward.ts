// Pushes a session's branch on to its upstream: within the agent's own push for up to five seconds, and again later.
import type { UpstreamCredential } from './credential.ts'
import type { Git } from './git-process.ts'
import type { Forwarded } from './messages.ts'
import type { GitPaths } from './paths.ts'
import { readRecord, type SessionRecord, sessionRecordSchema } from './records.ts'
import { readRef } from './refs.ts'
import type { PushOutcome, Upstream } from './upstream.ts'

export interface OutwardResult {
  outward: Forwarded['outward']
  reason: string | null
  message: string
  /** For the eyes of who pushed. */
  lines: string[]
}

export interface Outward {
  /** Pushes a commit that still lies in quarantine. */
  within(record: SessionRecord, push: WithinPush): Promise<OutwardResult>
  /** Pushes the tip of the session's branch as it is now. Pushing twice changes nothing. */
  forward(
    sessionId: string,
    credential: UpstreamCredential | undefined,
    signal: AbortSignal,
  ): Promise<Forwarded>
}

interface WithinPush {
  commit: string
  credential?: UpstreamCredential
  env: Record<string, string>
  signal: AbortSignal
}

const WITHIN_LIMIT_MS = 5_000
const FORWARD_LIMIT_MS = 120_000

export function createOutward(deps: { git: Git; paths: GitPaths; upstream: Upstream }): Outward {
  const { git, paths, upstream } = deps
  return {
    within: async (record, { commit, credential, env, signal }) => {
      const { sessionId, branch, outside } = record
      if (!outside) return { outward: 'none', reason: null, message: '', lines: [] }
      const push = {
        directory: paths.session(sessionId),
        commit,
        branch,
        limitMs: WITHIN_LIMIT_MS,
        signal,
        env,
      }
      const outcome = await upstream.push({ url: outside.url, credential }, push)
      return explain(outcome, { branch, anonymous: credential === undefined })
    },
    forward: async (sessionId, credential, signal) => {
      const directory = paths.session(sessionId)
      const { branch, outside } = await readRecord(directory, 'session', sessionRecordSchema)
      const commit = (await readRef(git, directory, `refs/heads/${branch}`)) ?? null
      if (!outside || commit === null) return { outward: 'none', commit, reason: null, message: '' }
      const push = { directory, commit, branch, limitMs: FORWARD_LIMIT_MS, signal }
      const outcome = await upstream.push({ url: outside.url, credential }, push)
      const { outward, reason, message, lines } = explain(outcome, {
        branch,
        anonymous: credential === undefined,
      })
      return { outward, commit, reason, message: [message, ...lines].filter(Boolean).join('\n') }
    },
  }
}

/** A host that refuses whoever shows no credential has not refused the work: it is kept until there is one. */
function explain(outcome: PushOutcome, at: { branch: string; anonymous: boolean }): OutwardResult {
  const { result, reason, message, lines } = outcome
  if (result === 'forwarded') return { outward: 'forwarded', reason: null, message: '', lines }
  if (result === 'passing')
    return { outward: 'kept', reason, message, lines: [...lines, `errand: ${message}`, KEPT_LINE] }
  if (at.anonymous && (reason === 'repository_access_denied' || reason === 'repository_not_found'))
    return {
      outward: 'kept',
      reason: 'credential_missing',
      message: 'There is no credential for this repository: the commits are kept in Errand.',
      lines: ['errand: there is no credential for the repository; the commits are kept in Errand'],
    }
  return {
    outward: 'refused',
    reason,
    message,
    lines: [...lines, ...refusedLines(message, at.branch)],
  }
}

const KEPT_LINE =
  'errand: the commits are kept in Errand and go out as soon as the repository takes them'

function refusedLines(message: string, branch: string): string[] {
  const said = `errand: the repository refused the push: ${message}`
  if (!/fetch first|non-fast-forward/.test(message)) return [said]
  return [
    said,
    `errand: fetch, merge and push again; refs/errand/upstream/${branch} is the branch as it stands there`,
  ]
}
