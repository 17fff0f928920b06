// How the phases of a preparation are named and marked.
import type { PhaseName } from '../../../src/protocol/session.ts'
import type { PhaseLine } from '../../../src/protocol/timeline-preparation.ts'
import type { GlyphName } from '../ui/glyph.tsx'

export const PHASE_NAMES: Record<PhaseName, string> = {
  fetch: 'Fetch the repository',
  sandbox: 'Make the sandbox',
  checkout: 'Check out the branch',
  environment: 'Set up the environment',
  agent: 'Start the agent',
}

export const PHASE_SIGNS: Record<
  PhaseLine['state'],
  { glyph: GlyphName; color: string; word: string }
> = {
  running: { glyph: 'half', color: '', word: 'running' },
  completed: { glyph: 'check', color: 'text-ok', word: 'done' },
  stopped: { glyph: 'dash', color: 'text-muted', word: 'stopped' },
  failed: { glyph: 'cross', color: 'text-bad', word: 'failed' },
}
