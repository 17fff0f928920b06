// The log of a phase while it runs: lines are gathered and reported at most once a second, and not without end. A line
// that only counts on (git writes many of them a second) takes the place of the one before it.

export interface PhaseLog {
  add(line: string): void
  /** Reports what is left; resolves when everything has been reported. Never rejects. */
  end(): Promise<void>
}

export interface PhaseLogOptions {
  everyMs?: number
  /** Of a whole phase; what comes after is left out, except for the last lines, which `end` reports. */
  mostLines?: number
}

const LINE_CHARS = 500
const LAST_LINES = 20

/** `report` is called by one call at a time. A report that fails is a gap in the log and nothing else. */
export function createPhaseLog(
  report: (lines: string[]) => Promise<unknown>,
  { everyMs = 1_000, mostLines = 500 }: PhaseLogOptions = {},
): PhaseLog {
  let waiting: string[] = []
  let left = mostLines
  let timer: NodeJS.Timeout | undefined
  let reporting: Promise<unknown> = Promise.resolve()
  const send = (lines: string[]) => {
    if (lines.length === 0) return
    reporting = reporting.then(() => report(lines)).catch(() => undefined)
  }
  const flush = () => {
    timer = undefined
    const lines = waiting.slice(0, left)
    left -= lines.length
    // What exceeds the limit stays until it is pushed out by later lines.
    waiting = waiting.slice(lines.length)
    send(lines)
  }
  return {
    add(line) {
      const cut = line.slice(0, LINE_CHARS)
      const last = waiting.at(-1)
      if (last !== undefined && isSameCount(last, cut)) waiting[waiting.length - 1] = cut
      else waiting.push(cut)
      if (waiting.length > left + LAST_LINES) waiting.splice(left, 1)
      timer ??= setTimeout(flush, everyMs)
    },
    async end() {
      clearTimeout(timer)
      send(waiting)
      waiting = []
      await reporting
    },
  }
}

/** "Receiving objects:  12% (3/25)" and "Receiving objects:  16% (4/25)". */
function isSameCount(a: string, b: string): boolean {
  const name = /^([^\d%]+):\s+\d+/.exec(a)?.[1]
  return name !== undefined && name === /^([^\d%]+):\s+\d+/.exec(b)?.[1]
}
