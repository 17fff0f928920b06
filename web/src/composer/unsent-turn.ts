// The id of the turn that a message begins, chosen here: a message of which nobody knows whether it arrived is sent again with
// the same one, and then counts once. Where it turns out that it had arrived, it is taken out of the composer again. Kept over
// reloads of this tab like what is written there, since that is sent again as well.
import { createId } from '../../../src/protocol/ids.ts'
import type { ReviewComment } from '../changes/review-comments.ts'
import { keepDraft, keptDraft, useDraft } from './use-draft.ts'
import { readKept } from './use-kept-fields.ts'

/** As the composer has it. */
export interface Written {
  written: string
  attached: readonly ReviewComment[]
}

interface Unsent extends Written {
  message: string
  turnId: string
  /** It was given back to the composer. */
  isReturned: boolean
}

/** Turns that this page is sending: of another one that was closed or loaded anew nobody waits for an answer any more. */
const underWay = new Set<string>()

const keyOf = (place: string) => `unsent:${place}`

function read(place: string): Unsent | undefined {
  const kept = readKept<Unsent>(keptDraft(keyOf(place)))
  return kept.turnId === undefined ? undefined : (kept as Unsent)
}

function keep(place: string, unsent: Unsent): void {
  keepDraft(keyOf(place), JSON.stringify(unsent))
}

/** The same for as long as this is what was not sent there. `message` is all that tells it from another one. */
export function turnIdFor(place: string, message: string, written: Written): string {
  const known = read(place)
  const turnId =
    known?.message === message
      ? known.turnId
      : createId('turn', crypto.getRandomValues(new Uint8Array(20)))
  underWay.add(turnId)
  keep(place, { ...written, message, turnId, isReturned: false })
  return turnId
}

/** It has arrived. */
export function forgetUnsent(place: string, turnId: string): void {
  underWay.delete(turnId)
  if (read(place)?.turnId === turnId) keepDraft(keyOf(place), '')
}

/** Its sending failed, and it can be sent again from the composer. */
export function noteReturned(place: string, turnId: string): void {
  underWay.delete(turnId)
  const known = read(place)
  if (known?.turnId === turnId) keep(place, { ...known, isReturned: true })
}

/** What a page sent that nobody has open any more, once: it goes back into the composer. */
export function takeLeft(place: string): Written | undefined {
  const known = read(place)
  if (!known || known.isReturned || underWay.has(known.turnId)) return undefined
  noteReturned(place, known.turnId)
  return known
}

/** The turn of what nobody is sending any more: perhaps it has arrived all the same. */
export function useUnsentTurn(place: string): string | undefined {
  useDraft(keyOf(place))
  const known = read(place)
  return known && !underWay.has(known.turnId) ? known.turnId : undefined
}

/** What is in the composer although it had arrived, once. */
export function takeArrived(
  place: string,
  isThere: (turnId: string) => boolean,
): (Written & { turnId: string }) | undefined {
  const known = read(place)
  if (!known || underWay.has(known.turnId) || !isThere(known.turnId)) return undefined
  forgetUnsent(place, known.turnId)
  return known
}
