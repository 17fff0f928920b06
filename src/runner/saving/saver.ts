// Saves work tree and conversation to the session's repository when they changed: when asked, and from time to time while a
// turn runs. A save that fails disturbs nothing; it is told once, and the next one tries again.
import { withDeadline } from '../../lib/deadline.ts'
import type { Logger } from '../../lib/logger.ts'
import type { RunnerReport } from '../../protocol/runner-frames.ts'
import { SAVED_CONVERSATION_REF, SAVED_WORK_REF } from '../../protocol/saved-refs.ts'
import { clearLocks } from '../checkout/stale-locks.ts'
import type { StateFile } from '../state-file.ts'
import {
  type ConversationPlaces,
  type ConversationSaver,
  createConversationSaver,
} from './save-conversation.ts'
import { saveWork } from './save-work.ts'
import { openSavedStore, type SavedPlaces, type SavedStore } from './saved-store.ts'

const LIMIT_MS = 300_000
/** A save that took long is followed by a pause of so many times that. */
const PAUSE_FACTOR = 5
/** One that fails may be bad luck. */
const FAILURES_UNTIL_TOLD = 2

export interface SaverDeps {
  places: SavedPlaces & ConversationPlaces
  /** Checkouts of additional repositories: their work alone, each to its own. */
  additional: { name: string; places: SavedPlaces }[]
  state: StateFile
  report: (report: RunnerReport) => void
  log: Logger
  /** How often to look while a turn runs. */
  everyMs: number
}

export interface Saver {
  /** Saves what has changed, or does so once more when a save is under way; resolves after the last, never rejects. */
  save(): Promise<void>
  /** While a turn runs it saves from time to time. */
  watch(isWorking: boolean): void
  stop(): Promise<void>
}

export function createSaver(deps: SaverDeps): Saver {
  const stopping = new AbortController()
  const once = createSave(deps)
  const failures = createFailures(deps)
  let running: Promise<void> | undefined
  let isWanted = false
  let timer: NodeJS.Timeout | undefined
  let isWorking = false

  const save = () => {
    isWanted = true
    running ??= saveAll().finally(() => {
      running = undefined
    })
    return running
  }
  const saveAll = async () => {
    clearTimeout(timer)
    const startedAt = performance.now()
    while (isWanted && !stopping.signal.aborted && deps.state.get().checkout !== null) {
      isWanted = false
      await withDeadline('saving', LIMIT_MS, once, stopping.signal).then(
        failures.forget,
        (error: unknown) => stopping.signal.aborted || failures.note(error),
      )
    }
    schedule(performance.now() - startedAt)
  }
  const schedule = (tookMs = 0) => {
    clearTimeout(timer)
    if (!isWorking || stopping.signal.aborted) return
    timer = setTimeout(save, Math.max(deps.everyMs, tookMs * PAUSE_FACTOR))
  }
  return {
    save,
    watch(next) {
      isWorking = next
      if (running === undefined) schedule()
    },
    async stop() {
      stopping.abort(new Error('the runner stops'))
      clearTimeout(timer)
      await running
    },
  }
}

/** One save: what is the same as the last time is not sent again. */
function createSave({ places, additional, state, report }: SaverDeps) {
  let opened: { store: SavedStore; conversation: ConversationSaver } | undefined
  let saved: { work?: string; conversation?: string } = {}
  const tellLeftOut = createLeftOut(report)
  const others = additional.map(({ name, places: its }) => ({
    name,
    save: createAdditionalSave(its, (names) => tellLeftOut(names.map((file) => `${name}/${file}`))),
  }))
  const saveOthers = async (signal: AbortSignal) => {
    const there = others.filter(({ name }) => state.get().additional.includes(name))
    const ends = await Promise.allSettled(there.map(({ save }) => save(signal)))
    const failed = ends.find((end) => end.status === 'rejected')
    if (failed) throw failed.reason
  }
  return async (signal: AbortSignal) => {
    // Of a save that was killed: nobody else works there.
    await clearLocks(places.store)
    if (!opened) {
      const store = await openSavedStore(places, signal)
      opened = { store, conversation: createConversationSaver(places, store) }
    }
    const { store, conversation } = opened
    // First what the agent knows, then what it did: a restored agent finds more done than it remembers, never less.
    const known = await conversation.save(state.get(), signal)
    const work = await saveWork(places, store, { since: saved.work, signal })
    const pushed: string[] = []
    if (known !== saved.conversation) {
      const input = `The conversation of a session, saved by Errand\n\n${new Date().toISOString()}\n`
      const commit = await store.git.text(['commit-tree', known], { input })
      pushed.push(`${commit}:${SAVED_CONVERSATION_REF}`)
    }
    if (work) pushed.push(`${work.commit}:${SAVED_WORK_REF}`)
    if (pushed.length > 0) await pushSaved(store, places, pushed)
    saved = { work: work?.content ?? saved.work, conversation: known }
    if (work) tellLeftOut(work.leftOut)
    await saveOthers(signal)
  }
}

function createAdditionalSave(places: SavedPlaces, tellLeftOut: (names: string[]) => void) {
  let store: SavedStore | undefined
  let since: string | undefined
  return async (signal: AbortSignal) => {
    await clearLocks(places.store)
    store ??= await openSavedStore(places, signal)
    const work = await saveWork(places, store, { since, signal })
    if (!work) return
    await pushSaved(store, places, [`${work.commit}:${SAVED_WORK_REF}`])
    since = work.content
    tellLeftOut(work.leftOut)
  }
}

async function pushSaved({ git }: SavedStore, { source }: SavedPlaces, refs: string[]) {
  await git.text(['push', '--quiet', '--no-verify', '--force', source, ...refs])
}

/** Says of each file once that it is not saved. */
function createLeftOut(report: SaverDeps['report']) {
  const told = new Set<string>()
  return (names: string[]) => {
    const news = names.filter((name) => !told.has(name))
    for (const name of news) told.add(name)
    if (news.length === 0) return
    const text = `Too large to be saved, or not in the form that the attributes of the repository ask for; these files would be lost with the sandbox until they are committed: ${news.join(', ')}`
    report({ type: 'agent.notice', turnId: null, kind: 'not_saved', text })
  }
}

function createFailures({ report, log }: SaverDeps) {
  let count = 0
  return {
    forget: () => {
      count = 0
    },
    note: (err: unknown) => {
      log.warn({ err }, 'the work could not be saved')
      count += 1
      if (count !== FAILURES_UNTIL_TOLD) return
      const why = err instanceof Error ? err.message : String(err)
      const text = `What is not pushed could not be saved, and would be lost with the sandbox; it is tried again. ${why}`
      report({ type: 'agent.notice', turnId: null, kind: 'not_saved', text })
    },
  }
}
