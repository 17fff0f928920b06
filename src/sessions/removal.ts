// Removing a session: gone for everybody at once, and then an effect takes away what is outside of the database, however
// long that takes. Nobody has to wait for it; who wants to may do so for a while.
import { delay } from '../lib/deadline.ts'
import type { EffectQueue } from '../store/effects.ts'
import type { SessionDirectory } from '../store/sessions.ts'
import { toNewEffect } from './dispatch.ts'

const KIND = 'session.remove'
const LOOK_MS = 20
/** As long as everybody answers, a removed session has left nothing when the request ends. */
const PATIENCE_MS = 1_000

export interface Removal {
  directory: Pick<SessionDirectory, 'remove'>
  effects: Pick<EffectQueue, 'countOpen'>
}

/** Resolves at the latest after a second, whatever does not answer. */
export async function removeSession(
  { directory, effects }: Removal,
  sessionId: string,
): Promise<void> {
  await directory.remove(sessionId, toNewEffect({ kind: KIND }))
  const end = performance.now() + PATIENCE_MS
  while ((await effects.countOpen(KIND, sessionId)) > 0 && performance.now() < end)
    await delay(LOOK_MS)
}

/** Resolves when everything that was removed is gone; for whoever stops Errand, who has a limit of its own. */
export async function removalsDone({ effects }: Pick<Removal, 'effects'>): Promise<void> {
  while ((await effects.countOpen(KIND)) > 0) await delay(LOOK_MS)
}
