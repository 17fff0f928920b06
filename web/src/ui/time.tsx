// Times: relative with the exact one on hover, and a stopwatch for what is still going on.
import { useEffect, useState } from 'react'
import { formatAgo, formatElapsed, formatExact } from './format.ts'

function useNow(everyMs: number): number {
  const [now, setNow] = useState(() => Date.now())
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), everyMs)
    return () => clearInterval(timer)
  }, [everyMs])
  return now
}

export function Ago({ at, className }: { at: string; className?: string }) {
  const now = useNow(30_000)
  return (
    <time dateTime={at} title={formatExact(at)} className={className}>
      {formatAgo(at, now)}
    </time>
  )
}

/** When something comes: "in 12 s", and "now" from its time on. */
export function Until({ at, className }: { at: string; className?: string }) {
  const leftMs = Date.parse(at) - useNow(1000)
  return (
    <time dateTime={at} title={formatExact(at)} className={className}>
      {leftMs > 0 ? `in ${formatElapsed(leftMs)}` : 'now'}
    </time>
  )
}

export function Since({ at, className }: { at: string; className?: string }) {
  const now = useNow(1000)
  return (
    <time dateTime={at} title={`since ${formatExact(at)}`} className={className}>
      {formatElapsed(now - Date.parse(at))}
    </time>
  )
}
