// Mirrors of upstream repositories, which session repositories borrow objects from (as alternates).
// Borrowing rather than copying makes a session of a large repository start at once. What that opens was tried: over
// protocol v2 a session may ask for any object of the mirror by id, and sees its tips as `.have`. So a mirror belongs to one
// owner and one credential, and holds only branches and tags that this credential may read anyway; and no object ever leaves
// a mirror while it exists (no prune, no gc), since a force push upstream would break the borrowers.
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readdir, readFile, rename, rm, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import type { Logger } from '../../lib/logger.ts'
import { createKeyedLock, createSingleFlight } from '../flights.ts'
import type { Git } from '../git-process.ts'
import type { GitPaths, MirrorKey } from '../paths.ts'
import { clearRepository } from '../sweep.ts'
import type { Upstream, UpstreamHead } from './upstream.ts'
import type { UpstreamTarget } from './upstream-access.ts'

export interface Mirrors {
  /** Asks the upstream with the credential, in every case, and brings the mirror up to date. Rejects when it may not. */
  open(key: MirrorKey, target: UpstreamTarget, run: MirrorRun): Promise<OpenMirror>
  /** Brings the mirror up to date unless that was tried within the last ten seconds. Never rejects: it may be stale. */
  refresh(key: MirrorKey, target: UpstreamTarget, signal: AbortSignal): Promise<void>
  /** The next refresh asks the upstream, however soon it comes. */
  expire(key: MirrorKey): void
  /** Brings refs that a mirror does not hold by itself, each at most once in ten seconds. Never rejects. */
  bringRefs(key: MirrorKey, target: UpstreamTarget, wanted: BringRefs): Promise<void>
  /** Fetches one commit that no branch or tag holds. */
  fetchCommit(
    key: MirrorKey,
    target: UpstreamTarget,
    wanted: { commit: string } & MirrorRun,
  ): Promise<void>
}

export interface MirrorRun {
  signal: AbortSignal
  onLine?: (line: string) => void
}

interface BringRefs {
  /** Full names, or patterns with one `*`. */
  refs: readonly string[]
  signal: AbortSignal
}

interface OpenMirror {
  directory: string
  head: UpstreamHead
}

const REFRESH_INTERVAL_MS = 10_000
const MOST_PACKS = 50
const MOST_REMEMBERED = 10_000
const REFSPECS = ['+refs/heads/*:refs/heads/*', '+refs/tags/*:refs/tags/*']

interface Deps {
  git: Git
  paths: GitPaths
  upstream: Upstream
  nowMs: () => number
  randomName: () => string
  log: Logger
}

export function createMirrors(deps: Deps): Mirrors {
  const { git, paths, upstream, nowMs, log } = deps
  const openings = createSingleFlight<UpstreamHead>()
  const refreshes = createSingleFlight<void>()
  const triedAtMs = new Map<string, number>()

  const writing = createWriting()
  const update = (directory: string, target: UpstreamTarget, { signal, onLine }: MirrorRun) =>
    writing(directory, async () => {
      await makeMirror(deps, directory, signal)
      // Its time says when it was used last: the sweep takes mirrors that nobody used for long.
      await utimes(directory, nowMs() / 1000, nowMs() / 1000)
      await upstream.fetch(target, { directory, wanted: REFSPECS, prune: true, signal, onLine })
      await joinPacks(git, directory, signal)
    })

  return {
    open: async (key, target, run) => {
      const directory = paths.mirror(key)
      const flight = `${directory} ${fingerprint(target)}`
      const head = await openings(flight, run.signal, async (signal) => {
        const [found] = await together(signal, [
          (either) => upstream.head(target, { signal: either, onLine: run.onLine }),
          (either) => update(directory, target, { signal: either, onLine: run.onLine }),
        ])
        const { branch } = found
        if (branch !== null) await writing(directory, () => pointHead(git, directory, branch))
        triedAtMs.set(flight, nowMs())
        return found
      })
      return { directory, head }
    },
    refresh: async (key, target, signal) => {
      const directory = paths.mirror(key)
      const flight = `${directory} ${fingerprint(target)}`
      if (!dueAgain(triedAtMs, flight, nowMs())) return
      try {
        await refreshes(flight, signal, (shared) => update(directory, target, { signal: shared }))
      } catch (error) {
        log.warn(
          { directory, err: error },
          'a mirror could not be refreshed and is served as it was',
        )
      }
    },
    bringRefs: async (key, target, { refs, signal }) => {
      const directory = paths.mirror(key)
      const isDue = (ref: string) =>
        dueAgain(triedAtMs, `${directory} ${fingerprint(target)} ${ref}`, nowMs())
      for (const ref of refs.filter(isDue)) {
        const fetch = { directory, wanted: [`+${ref}:${ref}`], prune: false, signal }
        try {
          await writing(directory, async () => {
            await upstream.fetch(target, fetch)
            await joinPacks(git, directory, signal)
          })
        } catch (error) {
          // git says to the client itself that there is no such ref.
          log.info({ directory, ref, err: error }, 'a ref could not be brought from upstream')
        }
      }
    },
    expire: (key) => {
      const directory = paths.mirror(key)
      for (const flight of triedAtMs.keys())
        if (flight.startsWith(directory)) triedAtMs.delete(flight)
    },
    fetchCommit: (key, target, { commit, signal, onLine }) => {
      const directory = paths.mirror(key)
      const fetch = { directory, wanted: [commit], prune: false, signal, onLine }
      return writing(directory, () => upstream.fetch(target, fetch))
    },
  }
}

/** One work at a time in a mirror. A git that was ended may have left locks that would stop all who come later. */
function createWriting() {
  const lock = createKeyedLock()
  return (directory: string, work: () => Promise<void>) =>
    lock(directory, async () => {
      try {
        await work()
      } catch (error) {
        await clearRepository(directory)
        throw error
      }
    })
}

/** True, and noted, when it was not tried within the last ten seconds. */
function dueAgain(triedAtMs: Map<string, number>, what: string, nowMs: number): boolean {
  const sinceMs = nowMs - (triedAtMs.get(what) ?? Number.NEGATIVE_INFINITY)
  // Less than none where the clock was set back.
  if (sinceMs >= 0 && sinceMs < REFRESH_INTERVAL_MS) return false
  if (triedAtMs.size > MOST_REMEMBERED) triedAtMs.clear()
  triedAtMs.set(what, nowMs)
  return true
}

/** Both at once; when one fails, the other is ended before that is told. */
async function together<A, B>(
  signal: AbortSignal,
  [first, second]: [(signal: AbortSignal) => Promise<A>, (signal: AbortSignal) => Promise<B>],
): Promise<[A, B]> {
  const failed = new AbortController()
  const either = AbortSignal.any([signal, failed.signal])
  const both = [first(either), second(either)] as const
  try {
    return await Promise.all(both)
  } catch (error) {
    failed.abort(error)
    await Promise.allSettled(both)
    throw error
  }
}

/** Two callers share a request only when they would make it with the same secret. */
function fingerprint({ credential }: UpstreamTarget): string {
  return createHash('sha256')
    .update(JSON.stringify(credential ?? null))
    .digest('hex')
}

/** Whole under its final name, or not there at all. */
async function makeMirror(
  { git, paths, randomName }: Deps,
  directory: string,
  signal: AbortSignal,
) {
  if (existsSync(directory)) return
  const temporary = join(paths.temporary, randomName())
  try {
    await git.text({ args: ['init', '--quiet', '--bare', '--template=', '--', temporary], signal })
    await rename(temporary, directory)
  } finally {
    await rm(temporary, { recursive: true, force: true })
  }
}

async function pointHead(git: Git, directory: string, branch: string): Promise<void> {
  if ((await readFile(join(directory, 'HEAD'), 'utf8')) === `ref: refs/heads/${branch}\n`) return
  await git.text({
    args: [`--git-dir=${directory}`, 'symbolic-ref', 'HEAD', `refs/heads/${branch}`],
  })
}

/** Many small packs make every read slow. Packs are joined with all their objects, reachable or not. */
async function joinPacks(git: Git, directory: string, signal: AbortSignal): Promise<void> {
  const files = await readdir(join(directory, 'objects', 'pack'))
  if (files.filter((name) => name.endsWith('.pack')).length < MOST_PACKS) return
  const args = [`--git-dir=${directory}`, 'repack', '--geometric=2', '-d', '-q']
  await git.text({ args, signal, limitMs: 300_000 })
}
