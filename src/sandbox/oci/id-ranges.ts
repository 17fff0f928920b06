// Gives every sandbox 65,536 user ids of its own on the host, so that no two sandboxes, and no user of the machine, ever
// share one. What is taken is read from the sandboxes on disk, so a range is free again when its sandbox is removed. Those of
// another installation on the machine are not seen; each begins at a place of its own, so that theirs hardly ever meet.
import { createHash } from 'node:crypto'
import { AppError } from '../../protocol/errors.ts'

export const RANGE_SIZE = 65536
const FIRST = 0x10000000
/** Above are the ranges that systemd keeps for itself. */
const LAST = 0x70000000

export interface IdRange {
  start: number
  size: number
}

const PLACES = (LAST - FIRST) / RANGE_SIZE

/** Where an installation begins to look for a free range, by its data folder. */
export function placeOf({ dev, ino }: { dev: number; ino: number }): number {
  return createHash('sha256').update(`${dev} ${ino}`).digest().readUInt32LE(0)
}

/** The start of the lowest range from `place` on that touches none of `taken`; below it when there is none above. */
export function allocateRange(taken: IdRange[], place = 0): number {
  const sorted = taken.toSorted((a, b) => a.start - b.start)
  const start =
    lowestFrom(FIRST + (place % PLACES) * RANGE_SIZE, sorted) ?? lowestFrom(FIRST, sorted)
  if (start !== undefined) return start
  throw new AppError('unavailable', 'id_ranges_used_up', 'No user id range is left for a sandbox')
}

function lowestFrom(first: number, sorted: IdRange[]): number | undefined {
  let start = first
  for (const range of sorted) {
    if (range.start + range.size <= start) continue
    if (range.start >= start + RANGE_SIZE) break
    start = FIRST + Math.ceil((range.start + range.size - FIRST) / RANGE_SIZE) * RANGE_SIZE
  }
  return start + RANGE_SIZE > LAST ? undefined : start
}

/** Ranges that the machine gave to its own users, or to those named (by name or number), in the form of /etc/subuid and /etc/subgid. */
export function parseSubordinateIds(text: string, users?: string[]): IdRange[] {
  return text.split('\n').flatMap((line) => {
    const [, user = '', start, size] = /^([^:]+):(\d+):(\d+)$/.exec(line.trim()) ?? []
    if (start === undefined || (users && !users.includes(user))) return []
    return [{ start: Number(start), size: Number(size) }]
  })
}
