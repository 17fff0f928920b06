// The checkouts of a session's additional repositories, each in a folder beside the main one. One that is written to is saved
// and restored like the main one; one that is read starts from its commit again when its sandbox was lost.
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { AppError, toAppError } from '../../protocol/errors.ts'
import { doorUrl } from '../../protocol/git-door.ts'
import type { AssignedAdditional } from '../../protocol/runner-frames.ts'
import { restoreWork } from '../saving/restore-work.ts'
import type { SavedPlaces } from '../saving/saved-store.ts'
import {
  type Checkout,
  type CheckoutRequest,
  checkOut,
  type OneCheckout,
  submoduleRewrites,
} from './checkout.ts'

export interface AdditionalPlace {
  repository: AssignedAdditional
  places: SavedPlaces
}

type PlaceDeps = Pick<
  CheckoutRequest,
  'setup' | 'workspace' | 'variables' | 'stateFolder' | 'additionalSource'
>

export function additionalPlaces(deps: PlaceDeps): AdditionalPlace[] {
  const { workspace, variables, stateFolder, additionalSource = doorUrl } = deps
  return (deps.setup.additional ?? []).map((repository) => {
    const { name } = repository
    const store = join(stateFolder, 'saved-additional', name)
    const source = additionalSource(name)
    return { repository, places: { folder: join(workspace, name), source, variables, store } }
  })
}

/** All at the same time. Resolves with what is to be said of restored ones; rejects with the names of those that failed. */
export async function makeAdditionalCheckouts(
  deps: CheckoutRequest,
  logged: (lines: string[]) => void,
  signal: AbortSignal,
): Promise<{ isKept: boolean; told: string[] }> {
  const all = additionalPlaces(deps)
  const ends = await Promise.allSettled(
    all.map((place) => {
      const { name } = place.repository
      const named = (lines: string[]) => logged(lines.map((line) => `${name}: ${line}`))
      return checkOut(checkoutOf(deps, place), named, signal)
    }),
  )
  signal.throwIfAborted()
  const failures = ends.flatMap((end, index) =>
    end.status === 'rejected' ? [`${nameAt(all, index)}: ${toAppError(end.reason).message}`] : [],
  )
  if (failures.length > 0) throw new AppError('unavailable', 'checkout_failed', failures.join('\n'))
  const made = ends.flatMap((end) => (end.status === 'fulfilled' ? [end.value] : []))
  return {
    isKept: made.every((one) => one === 'kept'),
    told: made.flatMap((one, index) => describe(nameAt(all, index), one)),
  }
}

const nameAt = (all: AdditionalPlace[], index: number) => all[index]?.repository.name ?? ''

function describe(name: string, made: Checkout): string[] {
  return typeof made === 'string' ? [] : [`${name}: ${made.text}`]
}

function checkoutOf(
  { variables, isFirst, state, stateFolder }: CheckoutRequest,
  { repository, places }: AdditionalPlace,
): OneCheckout {
  const { name, url, commit, branch, baseBranch, access } = repository
  const { folder, source } = places
  const pushes = access === 'write'
  const local = pushes ? branch : (baseBranch ?? branch)
  return {
    ...{ folder, variables, isFirst, rewrites: submoduleRewrites({ stateFolder }) },
    repository: { url, source, commit, branch: local, pushes },
    isFinished: () => state.get().additional.includes(name),
    finished: () => state.set({ additional: [...new Set([...state.get().additional, name])] }),
    restore: async (signal) => {
      if (!pushes) return undefined
      await rm(places.store, { recursive: true, force: true })
      const work = await restoreWork(places, branch, signal)
      if (!work) return undefined
      const text = [`files as they were saved at ${work.at}.`, ...work.differences].join(' ')
      return { at: work.at, text }
    },
  }
}
