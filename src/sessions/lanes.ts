// Which effects of a session wait for each other, so that no slow host holds up a stop.
import type { EffectRequest } from './rules/draft.ts'

/** Effects of one session and lane run one after the other; those of other lanes beside them. */
export type Lane = 'sandbox' | 'rest' | 'changes' | 'outward' | `outward ${string}`

const LANES: Record<EffectRequest['kind'], Lane> = {
  'sandbox.start': 'sandbox',
  'sandbox.stop': 'sandbox',
  'session.remove': 'sandbox',
  'sandbox.watch': 'rest',
  'changes.measure': 'changes',
  'push.forward': 'outward',
}

export function laneOf(effect: EffectRequest): Lane {
  return effect.kind === 'push.forward' ? outwardLane(effect.repository) : LANES[effect.kind]
}

/** Each of a session's repositories has a host of its own, which may be down. */
export function outwardLane(repository: string | undefined): Lane {
  return repository === undefined ? 'outward' : `outward ${repository}`
}
