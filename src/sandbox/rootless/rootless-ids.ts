// The ids that an ordinary user may give to its sandboxes: its ranges of /etc/subuid and /etc/subgid, cut into slices of
// 65,536. Pure. Inside the user namespace that Errand works in, a slice has the number of its first user id for both kinds.
import { type IdRange, RANGE_SIZE } from '../oci/id-ranges.ts'

export interface IdSlice {
  /** The first of its user ids outside; its name everywhere. */
  uid: number
  gid: number
}

/** The kernel takes 340 lines; sandboxes beyond share. */
const MAX_SLICES = 100

export function slicesOf(uids: IdRange[], gids: IdRange[]): IdSlice[] {
  const groups = starts(gids)
  return starts(uids)
    .slice(0, MAX_SLICES)
    .flatMap((uid, index) => {
      const gid = groups[index]
      return gid === undefined ? [] : [{ uid, gid }]
    })
}

function starts(ranges: IdRange[]): number[] {
  return ranges
    .filter(({ start }) => start >= RANGE_SIZE)
    .flatMap(({ start, size }) =>
      Array.from(
        { length: Math.floor(size / RANGE_SIZE) },
        (_, index) => start + index * RANGE_SIZE,
      ),
    )
}

/** What newuidmap and newgidmap are told: the user itself is root there, and nothing but its slices exists besides. */
export function idMaps(self: { uid: number; gid: number }, slices: IdSlice[]): [string, string] {
  const map = (own: number, kind: 'uid' | 'gid') =>
    [`0 ${own} 1`, ...slices.map((slice) => `${slice.uid} ${slice[kind]} ${RANGE_SIZE}`)].join(' ')
  return [map(self.uid, 'uid'), map(self.gid, 'gid')]
}

/** The slice that the fewest sandboxes have; `used` has one entry for each sandbox. */
export function pickSlice(slices: IdSlice[], used: number[]): number {
  const loads = slices.map(({ uid }) => used.filter((taken) => taken === uid).length)
  const slice = slices[loads.indexOf(Math.min(...loads))]
  if (!slice) throw new Error('there is no slice of ids')
  return slice.uid
}
