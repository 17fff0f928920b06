// A sandbox that was lost is replaced by one with an empty disk: this brings back what the lost one had saved in the
// session's repository, and says what came of it.
import { rm } from 'node:fs/promises'
import { SAVED_CONVERSATION_REF } from '../../protocol/saved-refs.ts'
import { createTranscript } from '../agent/transcript.ts'
import type { StateFile } from '../state-file.ts'
import { restoreWork } from './restore-work.ts'
import { type ConversationPlaces, putTogether, readState, stagingGit } from './save-conversation.ts'
import { openSavedStore, type SavedPlaces } from './saved-store.ts'

export interface Restored {
  /** When it was saved. */
  at: string
  text: string
}

interface RestoreDeps {
  places: SavedPlaces & ConversationPlaces
  ownBranch: string
  state: StateFile
}

/** Undefined when nothing was saved. Expects a clone without a checkout. */
export async function restore(
  { places, ownBranch, state }: RestoreDeps,
  signal: AbortSignal,
): Promise<Restored | undefined> {
  await rm(places.store, { recursive: true, force: true })
  const work = await restoreWork(places, ownBranch, signal)
  if (!work) return undefined
  const isConversation = await restoreConversation(places, state, signal)
  state.set({ replacedAt: work.at })
  const sentences = [
    `The sandbox was lost and replaced. It goes on from what was saved at ${work.at}: files${isConversation ? ' and conversation' : ''}.`,
    'What was installed or written outside of the repository is gone, and no command runs any more.',
    ...work.differences,
  ]
  return { at: work.at, text: sentences.join(' ') }
}

async function restoreConversation(
  places: SavedPlaces & ConversationPlaces,
  state: StateFile,
  signal: AbortSignal,
): Promise<boolean> {
  const store = await openSavedStore(places, signal)
  const ref = SAVED_CONVERSATION_REF
  await store.git.text(['fetch', '--quiet', '--no-tags', places.source, `+${ref}*:${ref}*`])
  if (!(await store.git.succeeds(['rev-parse', '--verify', '--quiet', ref]))) return false
  const git = await stagingGit(places, store, signal)
  await git.text(['read-tree', '--reset', '-u', ref])
  await putTogether(places)
  state.restore(await readState(places.store))
  const transcript = createTranscript(places.variables, () => state.get().conversationId)
  state.set({ transcriptFrom: await transcript.sizeBytes() })
  return true
}
