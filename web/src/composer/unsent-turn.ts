// The id of the turn that a message begins, chosen here: a message of which nobody knows whether it arrived is sent again with
// the same one, and then counts once.
import { createId } from '../../../src/protocol/ids.ts'

/** By place; as long as the page lives. */
const unsent = new Map<string, { message: string; turnId: string }>()

/** The same for as long as this is what was not sent there. `message` is all that tells it from another one. */
export function turnIdFor(place: string, message: string): string {
  const known = unsent.get(place)
  if (known?.message === message) return known.turnId
  const turnId = createId('turn', crypto.getRandomValues(new Uint8Array(20)))
  unsent.set(place, { message, turnId })
  return turnId
}

/** It has arrived. */
export function forgetUnsent(place: string, turnId: string): void {
  if (unsent.get(place)?.turnId === turnId) unsent.delete(place)
}
