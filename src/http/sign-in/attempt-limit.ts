// How often one address may try something in a window of time. Forgets everything when too many addresses come.

export interface AttemptLimit {
  limit: number
  windowMs: number
  now: () => number
}

const MOST_ADDRESSES = 10_000

export function createAttemptLimit({
  limit,
  windowMs,
  now,
}: AttemptLimit): (address: string) => boolean {
  const windows = new Map<string, { endsAt: number; count: number }>()
  return (address) => {
    const at = now()
    const open = windows.get(address)
    if (open && open.endsAt > at) {
      open.count += 1
      return open.count <= limit
    }
    if (windows.size >= MOST_ADDRESSES) windows.clear()
    windows.set(address, { endsAt: at + windowMs, count: 1 })
    return true
  }
}
