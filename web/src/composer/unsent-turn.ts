// The id of the turn that a message begins, chosen here: a message of which nobody knows whether it arrived is sent again with
// the same one, and then counts once. Where it turns out that it had arrived, it is taken out of the composer again.
import { createId } from '../../../src/protocol/ids.ts'
import type { ReviewComment } from '../changes/review-comments.ts'

/** What was given back to the composer. */
interface Returned {
  written: string
  attached: readonly ReviewComment[]
}

interface Unsent {
  message: string
  turnId: string
  returned?: Returned
}

/** By place; as long as the page lives. */
const unsent = new Map<string, Unsent>()

/** The same for as long as this is what was not sent there. `message` is all that tells it from another one. */
export function turnIdFor(place: string, message: string): string {
  const known = unsent.get(place)
  if (known?.message === message) {
    known.returned = undefined
    return known.turnId
  }
  const turnId = createId('turn', crypto.getRandomValues(new Uint8Array(20)))
  unsent.set(place, { message, turnId })
  return turnId
}

/** It has arrived. */
export function forgetUnsent(place: string, turnId: string): void {
  if (unsent.get(place)?.turnId === turnId) unsent.delete(place)
}

/** Its sending failed, and it can be sent again from the composer. */
export function noteReturned(place: string, turnId: string, returned: Returned): void {
  const known = unsent.get(place)
  if (known?.turnId === turnId) known.returned = returned
}

/** What was given back although it had arrived, once. */
export function takeArrived(
  place: string,
  isThere: (turnId: string) => boolean,
): (Returned & { turnId: string }) | undefined {
  const { turnId, returned } = unsent.get(place) ?? {}
  if (turnId === undefined || returned === undefined || !isThere(turnId)) return undefined
  unsent.delete(place)
  return { ...returned, turnId }
}
