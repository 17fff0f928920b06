// Which effects of a session wait for each other, so that no slow host holds up a stop.
import type { EffectRequest } from './draft.ts'

type Kind = EffectRequest['kind']

/** Effects of one session and lane run one after the other; those of other lanes beside them. */
export type Lane = 'sandbox' | 'changes' | 'outward'

const LANES: Record<Kind, Lane> = {
  'sandbox.start': 'sandbox',
  'sandbox.stop': 'sandbox',
  'session.remove': 'sandbox',
  'changes.measure': 'changes',
  'push.forward': 'outward',
}

export function laneOf(kind: Kind): Lane {
  return LANES[kind]
}
