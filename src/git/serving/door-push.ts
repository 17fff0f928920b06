// Decides a push to a session's repository while its objects are still in quarantine, passes it on outward, and records what
// came of it once git has written the ref, before the push ends.
import { rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { Git } from '../git-process.ts'
import { addPushedCommit, readJsonFile, type SessionRecord, writeWhole } from '../records.ts'
import { isAncestor, isCommit, readRef } from '../refs.ts'
import type { UpstreamCredential } from '../upstream/credential.ts'
import type { Outward, OutwardResult } from '../upstream/outward.ts'
import type { HookAnswer, HookQuestion } from './hooks.ts'
import type { Observations, ObservedPush } from './observations.ts'
import { observedPushSchema } from './observations.ts'
import {
  isSaved,
  type PushScope,
  type RefRefusal,
  type RefUpdate,
  refusalLines,
  type refuseForSession,
  ZERO_ID,
} from './push-scope.ts'

export interface DoorPush {
  /** The hook's question. */
  decide(question: HookQuestion): Promise<HookAnswer>
  /** After git has ended, however it ended. */
  finish(): Promise<void>
}

interface Deps {
  git: Git
  outward: Outward
  observations: Observations
  refuseForSession: typeof refuseForSession
}

export interface PushFrom {
  directory: string
  record: SessionRecord
  scope: PushScope
  credential?: UpstreamCredential
  signal: AbortSignal
}

const MOST_RECORDED_REFUSALS = 20

export function createDoorPush(deps: Deps, from: PushFrom): DoorPush {
  const { observations } = deps
  const { directory, record } = from
  return {
    decide: async (question) => {
      from.signal.throwIfAborted()
      // What could not be recorded of the push before, as on a full disk, is overwritten below.
      await settlePush(deps, directory, record)
      const env = quarantineEnvironment(directory, question.quarantine)
      const refusals = await refuseAll(deps, from, { updates: question.updates, env })
      if (refusals.length > 0) {
        const said = refusals.slice(0, MOST_RECORDED_REFUSALS).map((refusal) => ({
          refusal,
          lines: refusalLines(refusal, from.scope),
        }))
        for (const { refusal, lines } of said)
          await observations.add(refusedPush(record, refusal, lines.join('\n')))
        return { accept: false, lines: [...new Set(said.flatMap(({ lines }) => lines))] }
      }
      const update = question.updates.find((candidate) => !isSaved(candidate))
      if (!update) return { accept: true, lines: [] }
      return await passOn(deps, from, { update, env })
    },
    finish: () => settlePush(deps, directory, record),
  }
}

function quarantineEnvironment(directory: string, quarantine: string): Record<string, string> {
  const objects = join(directory, 'objects')
  // Empty when a push brings no objects: nothing is in quarantine then.
  if (quarantine === '') return {}
  const path = resolve(directory, quarantine)
  if (!path.startsWith(`${objects}/`)) throw new Error('the quarantine lies outside the repository')
  return { GIT_OBJECT_DIRECTORY: path, GIT_ALTERNATE_OBJECT_DIRECTORIES: objects }
}

async function refuseAll(
  deps: Deps,
  from: PushFrom,
  { updates, env }: { updates: RefUpdate[]; env: Record<string, string> },
): Promise<RefRefusal[]> {
  const refusals: RefRefusal[] = []
  const byScope = deps.refuseForSession(updates, from.scope)
  for (const [index, update] of updates.entries()) {
    const refusal = byScope[index] ?? (await refuseByHistory(deps.git, from, { update, env }))
    if (refusal) refusals.push(refusal)
  }
  return refusals
}

function isOwn({ ref }: RefUpdate, branch: string): boolean {
  return ref === `refs/heads/${branch}`
}

async function refuseByHistory(
  git: Git,
  { directory, scope }: PushFrom,
  { update, env }: { update: RefUpdate; env: Record<string, string> },
): Promise<RefRefusal | undefined> {
  if (!(await isCommit(git, directory, { id: update.new, env })))
    return { update, reason: 'not_a_commit' }
  const here = (await readRef(git, directory, update.ref)) ?? ZERO_ID
  // Another push may have come first; this one was made on what is no longer there.
  if (here !== update.old) return { update, reason: 'not_fast_forward' }
  if (update.old === ZERO_ID || isSaved(update)) return undefined
  if (scope.rewrite && isOwn(update, scope.branch)) return undefined
  const forward = await isAncestor(git, directory, { older: update.old, newer: update.new, env })
  return forward ? undefined : { update, reason: 'not_fast_forward' }
}

async function passOn(
  { outward, observations }: Deps,
  { directory, record, scope, credential, signal }: PushFrom,
  { update, env }: { update: RefUpdate; env: Record<string, string> },
): Promise<HookAnswer> {
  const own = isOwn(update, record.branch)
  const result = await outward.within(record, {
    ...{ update, scope, credential, env, signal },
    ...{ replaces: own && scope.rewrite, keeps: own },
  })
  const accepted = result.outward !== 'refused'
  const push: ObservedPush = {
    kind: 'push',
    ...repositoryOf(record),
    ...update,
    accepted,
    reason: result.reason,
    outward: result.outward,
    message: wholeMessage(result),
  }
  // On disk before git may write the ref: if gitd dies now, the next start finds out what became of it.
  if (accepted) await writeWhole(pendingPath(directory), JSON.stringify(push))
  else await observations.add(push)
  return { accept: accepted, lines: result.lines, isNewsUpstream: !accepted || !own }
}

/** The lines that git showed, and the sentence when they do not hold it. */
function wholeMessage({ message, lines }: OutwardResult): string {
  const said = lines.some((line) => line.includes(message)) ? lines : [message, ...lines]
  return [...new Set(said)].join('\n')
}

function refusedPush(
  record: SessionRecord,
  { update, reason }: RefRefusal,
  message: string,
): ObservedPush {
  const seen = { accepted: false, reason, outward: 'none', message } as const
  return { kind: 'push', ...repositoryOf(record), ...update, ...seen }
}

function repositoryOf({ sessionId, repository }: SessionRecord) {
  return { sessionId, ...(repository === null ? {} : { repository }) }
}

function pendingPath(directory: string): string {
  return join(directory, 'errand-push.json')
}

/** Records the push that was let through last, with what the ref says now. */
export async function settlePush(
  { git, observations }: Pick<Deps, 'git' | 'observations'>,
  directory: string,
  { branch }: Pick<SessionRecord, 'branch'>,
): Promise<void> {
  const push = await readJsonFile(pendingPath(directory), observedPushSchema)
  if (!push) return
  const tip = await readRef(git, directory, push.ref)
  const written = tip === push.new
  if (written && isOwn(push, branch)) await addPushedCommit(directory, push.new)
  await observations.add(
    written
      ? push
      : {
          ...push,
          accepted: false,
          reason: 'ref_not_written',
          message: 'git could not write the branch.',
        },
  )
  await rm(pendingPath(directory), { force: true })
}
