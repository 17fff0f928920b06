// Pushes a session's branches on to its upstream: within the agent's own push for up to five seconds, and its own branch again
// later. A branch is replaced there only where the owner allowed it, and only while it holds nothing that was never here.
// Which ref may go out is asked here again, since the hook's answer is all that git heard before.
import { AppError } from '../../protocol/errors.ts'
import type { Git } from '../git-process.ts'
import type { Forwarded } from '../messages.ts'
import type { GitPaths, SessionRepository } from '../paths.ts'
import {
  readPushedCommits,
  readRecord,
  type SessionRecord,
  sessionRecordSchema,
} from '../records.ts'
import { isAncestor, readRef } from '../refs.ts'
import {
  branchOf,
  type PushScope,
  type RefUpdate,
  refusalLines,
  type refuseOutward,
  ZERO_ID,
} from '../serving/push-scope.ts'
import type { UpstreamCredential } from './credential.ts'
import type { PushOutcome, Upstream, UpstreamPush } from './upstream.ts'

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
  forward(which: SessionRepository, push: ForwardPush): Promise<Forwarded>
}

interface WithinPush {
  update: RefUpdate
  scope: PushScope
  /** The tip here may be replaced; only forward otherwise. */
  replaces: boolean
  /** What the upstream does not take now is kept for later rather than refused. */
  keeps: boolean
  credential?: UpstreamCredential
  env: Record<string, string>
  signal: AbortSignal
}

interface ForwardPush {
  credential?: UpstreamCredential
  rewrite: boolean
  signal: AbortSignal
}

const WITHIN_LIMIT_MS = 5_000
/** A push may hold a gibibyte, and many a line is slow; one at which nothing moves is ended by git or ssh after a minute. */
const FORWARD_LIMIT_MS = 590_000

interface Deps {
  git: Git
  paths: GitPaths
  upstream: Upstream
  refuseOutward: typeof refuseOutward
}

export function createOutward(deps: Deps): Outward {
  const { git, paths } = deps
  return {
    within: async (record, push) => {
      const { update, scope, keeps, credential, env, signal } = push
      const refusal = deps.refuseOutward(update, scope)
      if (refusal) return refuse(refusal.reason, refusalLines(refusal, scope))
      const { outside } = record
      if (!outside) return { outward: 'none', reason: null, message: '', lines: [] }
      const commit = update.new
      const branch = branchOf(update)
      const replaces = push.replaces ? update.old : undefined
      const directory = paths.session(record)
      const call = { directory, commit, branch, limitMs: WITHIN_LIMIT_MS, signal, env }
      const target = { url: outside.url, credential }
      const outcome = await pushOut(deps, { target, call, replaces })
      return explain(outcome, { branch, keeps, anonymous: credential === undefined })
    },
    forward: async (which, { credential, rewrite, signal }) => {
      const directory = paths.session(which)
      const { branch, outside } = await readRecord(directory, 'session', sessionRecordSchema)
      const commit = (await readRef(git, directory, `refs/heads/${branch}`)) ?? null
      if (!outside || commit === null) return { outward: 'none', commit, reason: null, message: '' }
      const call = { directory, commit, branch, limitMs: FORWARD_LIMIT_MS, signal }
      const target = { url: outside.url, credential }
      const outcome = await pushOut(deps, { target, call, replaces: rewrite ? commit : undefined })
      const { outward, reason, message, lines } = explain(outcome, {
        branch,
        keeps: true,
        anonymous: credential === undefined,
      })
      return { outward, commit, reason, message: [message, ...lines].filter(Boolean).join('\n') }
    },
  }
}

function refuse(reason: string, lines: string[]): OutwardResult {
  return { outward: 'refused', reason, message: lines.join('\n'), lines }
}

type Out = { target: Parameters<Upstream['push']>[0]; call: UpstreamPush; replaces?: string }

async function pushOut(
  deps: Pick<Deps, 'git' | 'upstream'>,
  { target, call, replaces }: Out,
): Promise<PushOutcome> {
  const { upstream } = deps
  if (replaces === undefined) return upstream.push(target, call)
  let there: string | null
  try {
    there = await upstream.tip(target, call)
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    // The push says in its own words why nothing can be done there.
    return upstream.push(target, call)
  }
  if (there === null || (await isForward(deps.git, call, there))) return upstream.push(target, call)
  if (await isKnownHere(deps.git, call, { there, replaces }))
    return upstream.push(target, { ...call, replaces: there })
  return {
    result: 'refused',
    reason: 'upstream_moved_on',
    message: 'its branch holds commits that were never here (fetch first)',
    lines: [],
  }
}

function isForward(git: Git, { directory, commit, env }: UpstreamPush, there: string) {
  return isAncestor(git, directory, { older: there, newer: commit, env })
}

/** What would be lost there was pushed from here, or lies below what is replaced here. */
async function isKnownHere(
  git: Git,
  { directory, env }: UpstreamPush,
  { there, replaces }: { there: string; replaces: string },
): Promise<boolean> {
  if ((await readPushedCommits(directory)).has(there)) return true
  return replaces !== ZERO_ID && isAncestor(git, directory, { older: there, newer: replaces, env })
}

/** A host that refuses whoever shows no credential, or one that it does not know, has not refused the work: it is kept until there is one. */
function explain(
  outcome: PushOutcome,
  at: { branch: string; keeps: boolean; anonymous: boolean },
): OutwardResult {
  const { result, reason, message, lines } = outcome
  if (result === 'forwarded') return { outward: 'forwarded', reason: null, message: '', lines }
  if (result === 'passing' && at.keeps)
    return { outward: 'kept', reason, message, lines: [...lines, `errand: ${message}`, KEPT_LINE] }
  const isUnknown = reason === 'repository_access_denied' || reason === 'repository_not_found'
  if (at.anonymous && at.keeps && isUnknown)
    return {
      outward: 'kept',
      reason: 'credential_missing',
      message: 'There is no credential for this repository: the commits are kept in Errand.',
      lines: ['errand: there is no credential for the repository; the commits are kept in Errand'],
    }
  if (result === 'stranger' && at.keeps)
    return {
      outward: 'kept',
      reason: 'credential_refused',
      message: `The credential is not accepted there: the commits are kept in Errand. ${message}`,
      lines: [
        ...lines,
        'errand: the host does not accept the credential for the repository; the commits are kept in Errand',
      ],
    }
  return {
    outward: 'refused',
    reason,
    message,
    lines: [...lines, ...refusedLines(outcome, at)],
  }
}

const KEPT_LINE =
  'errand: the commits are kept in Errand and go out as soon as the repository takes them'

function refusedLines(
  { result, message }: PushOutcome,
  { branch, keeps }: { branch: string; keeps: boolean },
): string[] {
  if (result === 'passing')
    return [
      `errand: ${message}`,
      `errand: ${branch} is not the session's own branch, so nothing is kept for it: push again later`,
    ]
  const said = `errand: the repository refused the push: ${message}`
  if (!/fetch first|non-fast-forward/.test(message)) return [said]
  const where = keeps ? `refs/errand/upstream/${branch}` : `origin/${branch}`
  return [said, `errand: fetch, merge and push again; ${where} is the branch as it stands there`]
}
