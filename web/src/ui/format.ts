// Numbers as a person would say them: durations, times, money, counts.

const SECOND_MS = 1000
const MINUTE_MS = 60 * SECOND_MS
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS

export function formatDuration(ms: number): string {
  if (ms < 950) return `${(Math.max(0, ms) / SECOND_MS).toFixed(ms < 95 ? 2 : 1)} s`
  if (ms < 9_950) return `${(ms / SECOND_MS).toFixed(1)} s`
  if (ms < MINUTE_MS) return `${Math.round(ms / SECOND_MS)} s`
  if (ms < HOUR_MS) {
    const seconds = Math.round(ms / SECOND_MS)
    return `${Math.floor(seconds / 60)} min ${seconds % 60} s`
  }
  const minutes = Math.round(ms / MINUTE_MS)
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}

/** Of what still goes on: in whole seconds, since it is read while it runs. */
export function formatElapsed(ms: number): string {
  return ms < 10_000 ? `${Math.max(0, Math.floor(ms / SECOND_MS))} s` : formatDuration(ms)
}

export function formatAgo(at: string, now: number): string {
  const ms = now - Date.parse(at)
  if (ms < 45 * SECOND_MS) return 'now'
  if (ms < HOUR_MS) return `${Math.max(1, Math.round(ms / MINUTE_MS))} min ago`
  if (ms < DAY_MS) return `${Math.round(ms / HOUR_MS)} h ago`
  if (ms < 14 * DAY_MS) return `${Math.round(ms / DAY_MS)} d ago`
  return new Intl.DateTimeFormat(undefined, { dateStyle: 'medium' }).format(new Date(at))
}

export function formatExact(at: string): string {
  return new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' }).format(
    new Date(at),
  )
}

export function formatMoney(usd: number): string {
  return usd > 0 && usd < 0.01 ? 'under $0.01' : `$${usd.toFixed(2)}`
}

export function formatCount(count: number): string {
  if (count < 1000) return String(count)
  if (count < 999_500) return `${(count / 1000).toFixed(count < 9_950 ? 1 : 0)} k`
  return `${(count / 1_000_000).toFixed(1)} M`
}

const SIZES = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB']

export function formatBytes(bytes: number): string {
  const power = bytes < 1024 ? 0 : Math.min(4, Math.floor(Math.log2(bytes) / 10))
  const count = bytes / 1024 ** power
  return `${count < 10 && power > 0 ? count.toFixed(1) : Math.round(count)} ${SIZES[power]}`
}

export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`
}
