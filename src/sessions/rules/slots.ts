// Who may work now and who comes next. So many sessions work at once; further ones wait in a queue in which owners take
// turns, so that the many sessions of one do not hold up the only one of another. Pure.
import type { Place } from '../../protocol/api.ts'
import type { Load } from '../../store/load.ts'

/**
 * For a session that wants to begin work. One in the queue was called up in its order; any other begins at once only while
 * nobody waits, and else goes behind them.
 */
export function hasSlot(load: Load, sessionId: string, concurrency: number): boolean {
  const others = load.working.filter(({ id }) => id !== sessionId)
  if (others.length >= concurrency) return false
  return load.queued.length === 0 || load.queued.some(({ id }) => id === sessionId)
}

/** Ids in the order in which they begin: always the longest waiting session of an owner who has the fewest that work. */
export function orderQueue({ working, queued }: Load): string[] {
  const counts = new Map<string, number>()
  const countOne = (ownerId: string) => {
    const count = counts.get(ownerId) ?? 0
    counts.set(ownerId, count + 1)
    return count
  }
  for (const { ownerId } of working) countOne(ownerId)
  // How many sessions of its owner work, or begin, before it. The sort keeps the order of those that are equal.
  const levels = queued.map(({ id, ownerId }) => ({ id, level: countOne(ownerId) }))
  return levels.toSorted((a, b) => a.level - b.level).map(({ id }) => id)
}

/** Of each session that waits. */
export function placesIn(load: Load): Map<string, Place> {
  const order = orderQueue(load)
  return new Map(order.map((id, index) => [id, { number: index + 1, of: order.length }]))
}
