// Turns what the gateway sees into commands: pushes from git's journal, denials, model requests. Nothing here blocks the
// traffic that it reports on; what cannot be stored now is tried again until it is.

import type { EgressDecision } from '../egress/proxy/exchange.ts'
import { createDenialFilter } from '../egress/rules/denial-filter.ts'
import type { Observation } from '../git/serving/observations.ts'
import { backoffMs } from '../lib/backoff.ts'
import { delay } from '../lib/deadline.ts'
import type { Logger } from '../lib/logger.ts'
import type { ModelProblem, ModelUsage } from '../model/pass-through.ts'
import type { UsageJournal } from '../model/usage-journal.ts'
import type { ReportCommand } from '../protocol/command.ts'
import { type AppError, toAppError } from '../protocol/errors.ts'
import type { Dispatch } from '../sessions/dispatch.ts'

export interface Reports {
  decided(decision: EgressDecision): void
  /** What an answer has used so far: told by the next run of the gateway when this one does not come to its end. */
  using(usage: ModelUsage): void
  used(usage: ModelUsage): void
  /** What answers of a session have used and the database does not know yet. */
  waiting(sessionId: string): ModelUsage[]
  failed(problem: ModelProblem): void
  /** Resolves when the push is stored, or never can be. */
  pushed(observation: Observation): Promise<void>
  /** Resolves when everything that was reported is stored. */
  settled(): Promise<void>
}

const RETRY = { firstMs: 200, mostMs: 10_000 }
/** With so many that wait for the database, denials and refusals of the model are no longer told: an agent can make as many as it likes. */
const MOST_WAITING = 1_000
/** What may pass by itself, as a full disk does once somebody has made room; every other refusal is final. */
const PASSING: ReadonlySet<AppError['code']> = new Set([
  'unavailable',
  'timeout',
  'no_space',
  'internal',
])
const DENIALS = { windowMs: 10_000, mostPerWindow: 50 }

export interface ReportsDeps {
  dispatch: Dispatch
  journal: Pick<UsageJournal, 'note' | 'forget' | 'waiting'>
  logger: Logger
}

export function createReports(
  { dispatch, journal, logger }: ReportsDeps,
  signal: AbortSignal,
): Reports {
  const isNews = createDenialFilter({ ...DENIALS, now: Date.now })
  const pending = new Set<Promise<void>>()
  const store = createStore(dispatch, logger, signal)
  const inBackground = (stored: Promise<void>) => {
    const kept = stored.catch((error: unknown) => {
      if (!signal.aborted) logger.error({ err: error }, 'a report was lost')
    })
    pending.add(kept)
    void kept.finally(() => pending.delete(kept))
  }
  return {
    decided: (decision) => {
      if (!isNews(decision) || pending.size >= MOST_WAITING) return
      const { sessionId, host, port, reason } = decision
      inBackground(
        store(sessionId, { type: 'egress.denied', host, port, reason: reason ?? 'denied' }),
      )
    },
    using: journal.note,
    waiting: journal.waiting,
    used: (usage) => {
      // An error costs nothing and is told by `failed`.
      if (usage.status >= 300) return
      journal.note(usage)
      const {
        sessionId,
        requestId,
        model,
        inputTokens,
        outputTokens,
        cacheReadTokens,
        cacheCreationTokens,
        durationMs,
      } = usage
      const counts = { inputTokens, outputTokens, cacheReadTokens, cacheCreationTokens }
      const costUsd = usage.costUsd ?? null
      const report = {
        type: 'model.used',
        requestId,
        model,
        ...counts,
        costUsd,
        durationMs,
      } as const
      const stored = store(sessionId, report, requestId)
      inBackground(stored.then(() => journal.forget(requestId)))
    },
    failed: ({ sessionId, requestId, status, reason, message }) => {
      if (pending.size >= MOST_WAITING) return
      inBackground(store(sessionId, { type: 'model.failed', requestId, status, reason, message }))
    },
    pushed: ({ n, at, sessionId, accepted, reason, new: commit, ...push }) => {
      const { repository, ref, outward, message } = push
      return store(
        sessionId,
        accepted
          ? { type: 'push.accepted', repository, ref, commit, outward, message }
          : { type: 'push.refused', repository, ref, reason: reason ?? 'refused', message },
        // It is told again when the gateway ends between storing and acknowledging it. The time, because a new folder of
        // git counts from 1 again.
        `push ${n} ${at}`,
      )
    },
    settled: async () => {
      await Promise.all(pending)
    },
  }
}

/** Tries until the report is stored or refused for good; rejects when the signal aborts. */
function createStore(dispatch: Dispatch, logger: Logger, signal: AbortSignal) {
  return async (sessionId: string, command: ReportCommand, reportId?: string) => {
    for (let attempt = 0; ; attempt++) {
      const error = await dispatch.command(sessionId, command, reportId ? { reportId } : {}).then(
        () => undefined,
        (reason: unknown) => toAppError(reason),
      )
      if (!error || error.code === 'not_found' || error.reason === 'already_counted') return
      const report = { err: error, sessionId, command: command.type }
      if (!PASSING.has(error.code)) {
        logger.error(report, 'a report was refused')
        return
      }
      logger.warn(report, 'a report could not be stored yet')
      await delay(backoffMs(RETRY, attempt, Math.random()), signal)
    }
  }
}
