// What the timeline says of the network: what a repository asks to reach, hosts that were refused, and what became of both.
import { isWider } from './environment.ts'
import type { EventOf } from './event.ts'
import { policyNames } from './installation-network.ts'
import type { At, TimelineItem } from './timeline.ts'
import { noticeOf } from './timeline-notices.ts'
import { update } from './timeline-update.ts'

export function applyEnvironment(
  items: readonly TimelineItem[],
  body: EventOf<'environment.read' | 'environment.allowed' | 'network.changed'>,
  at: At,
): readonly TimelineItem[] {
  if (body.type !== 'environment.read') return applyNetwork(items, body, at)
  const notice = noticeOf(body)
  const { network } = body
  const wish = network && { ...at, kind: 'wish' as const, network, state: 'open' as const }
  return [...items, ...(notice ? [{ ...at, ...notice }] : []), ...(wish ? [wish] : [])]
}

/** Wishes and refused hosts that are allowed from now on. */
function applyNetwork(
  items: readonly TimelineItem[],
  body: EventOf<'environment.allowed' | 'network.changed'>,
  at: At,
): readonly TimelineItem[] {
  const { network } = body
  const scope = body.type === 'environment.allowed' ? body.scope : ('session' as const)
  const settled = items.map((item) => {
    if (item.kind === 'wish' && item.state === 'open' && !isWider(item.network, network))
      return { ...item, state: scope }
    if (item.kind === 'denied' && !item.allowed && policyNames(network, item))
      return { ...item, allowed: true }
    return item
  })
  const notice = noticeOf(body)
  return notice ? [...settled, { ...at, ...notice }] : settled
}

/** Repeated denials of one host are one line that counts. */
export function applyDenied(
  items: readonly TimelineItem[],
  body: EventOf<'egress.denied'>,
  at: At,
): readonly TimelineItem[] {
  const counted = update(items, (item) =>
    item.kind === 'denied' &&
    item.host === body.host &&
    item.port === body.port &&
    item.reason === body.reason
      ? { ...item, count: item.count + 1, allowed: false }
      : undefined,
  )
  if (counted !== items) return counted
  return [
    ...items,
    {
      ...{ ...at, kind: 'denied', host: body.host, port: body.port, reason: body.reason },
      ...{ count: 1, allowed: false },
    },
  ]
}
