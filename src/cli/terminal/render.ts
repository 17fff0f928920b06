// A session on a terminal while it happens: what is settled becomes lines, what is going on is one line at the bottom that
// changes. Without a terminal there are lines only.

import type { ConnectionState } from '../../client/follow.ts'
import type { Delta, Place } from '../../protocol/api.ts'
import { applyEvent, emptyView, type SessionView } from '../../protocol/apply-event.ts'
import type { SessionEvent } from '../../protocol/event.ts'
import { saysAgain, type TimelineItem } from '../../protocol/timeline.ts'
import type { PhaseLine } from '../../protocol/timeline-preparation.ts'
import type { Output } from '../deps.ts'
import { formatDuration, formatPlace } from './format.ts'
import { paintLine } from './paint.ts'
import { fitLine, mapTexts, oneLine, plainText, wrapText } from './plain-text.ts'
import { renderFailedPhase, renderItem, renderPhases, renderToolCall } from './render-item.ts'

const WITHOUT_TERMINAL = 100
const TICK_MS = 500
const WAITING = 'waiting for the connection …'
/** Of text that is being written: enough for the widest line. */
const KEPT_DELTA = 400

export interface Renderer {
  event(event: SessionEvent): void
  delta(delta: Delta): void
  /** In the queue of sessions. */
  place(place: Place | null): void
  connection(state: ConnectionState): void
  /** Clears the changing line while something else writes. */
  pause(): void
  resume(): void
  view(): SessionView
  close(): void
}

export interface RendererOptions {
  output: Output
  /** Events up to this number are taken in and not shown. */
  quietUntil?: number
  now?: () => number
  /** Makes text of others safe, before any of it becomes a line. */
  plainText?: (text: string) => string
}

export function createRenderer({
  output,
  quietUntil = 0,
  now = Date.now,
  plainText: makeSafe = plainText,
}: RendererOptions): Renderer {
  const columns = () => output.columns() ?? WITHOUT_TERMINAL
  const screen = createScreen({ output, columns, makeSafe })
  let view = emptyView
  let writing = ''
  let isWaiting = false
  let place: Place | null = null
  const draw = () => {
    // Of text that is being written the end is what is new.
    const tail = writing.slice(-Math.max(1, columns() - 2))
    const queued = view.session?.status === 'queued' && place
    const work = () => (queued ? describeQueue(queued) : describeWork(view.timeline, now()))
    screen.status(isWaiting ? WAITING : tail || work())
  }
  const timer = output.isTTY ? setInterval(draw, TICK_MS) : undefined
  timer?.unref()
  return {
    event: (event) => {
      const before = view
      view = applyEvent(view, event)
      if (event.body.type === 'assistant.text' || !view.session?.turn) writing = ''
      if (event.seq <= quietUntil) return
      for (const change of changesOf(before.timeline, view.timeline)) {
        if (saysAgain(change.item, before.timeline.at(-1))) continue
        const { item, previous } = mapTexts(change, makeSafe)
        screen.lines(linesFor(item, previous, { columns: columns(), isTTY: output.isTTY }))
      }
      draw()
    },
    delta: ({ text }) => {
      if (!output.isTTY) return
      writing = (writing + text).slice(-KEPT_DELTA)
      draw()
    },
    place: (next) => {
      place = next
      if (!output.isTTY && place) screen.lines([describeQueue(place)])
      draw()
    },
    connection: (state) => {
      const isCut = state === 'waiting'
      if (!output.isTTY && isCut && !isWaiting) screen.lines([WAITING])
      isWaiting = isCut
      draw()
    },
    pause: screen.pause,
    resume: () => {
      screen.resume()
      draw()
    },
    view: () => view,
    close: () => {
      clearInterval(timer)
      screen.pause()
    },
  }
}

interface Change {
  item: TimelineItem
  /** As it was before; undefined for a new one. */
  previous: TimelineItem | undefined
}

/** Most of what is there stays as it is: what a log has of it may be long, and is passed over. */
function changesOf(before: readonly TimelineItem[], after: readonly TimelineItem[]): Change[] {
  if (before === after) return []
  let same = 0
  while (same < before.length && before[same] === after[same]) same += 1
  const rest = before.slice(same)
  const known = new Set(rest)
  return after
    .slice(same)
    .filter((item) => !known.has(item))
    .map((item) => ({ item, previous: rest.find(({ seq }) => seq === item.seq) }))
}

interface Look {
  columns: number
  isTTY: boolean
}

/** What a new or changed item adds to what was shown of it. */
function linesFor(item: TimelineItem, previous: TimelineItem | undefined, look: Look): string[] {
  switch (item.kind) {
    case 'preparation':
      return previous?.kind === 'preparation'
        ? linesForPreparation(item, previous, look)
        : renderItem(item, look.columns)
    case 'question':
      // What closes an answered question is no news.
      return previous?.kind === 'question' && !previous.open ? [] : renderItem(item, look.columns)
    case 'denied':
      return previous ? [] : renderItem(item, look.columns)
    case 'push':
      // It is tried again and again: only another outcome is news.
      return previous?.kind === 'push' && isSamePush(previous, item)
        ? []
        : renderItem(item, look.columns)
    case 'text': {
      const lines = renderItem(item, look.columns)
      return look.isTTY ? lines.flatMap((line) => wrapText(line, look.columns)) : lines
    }
    default:
      return renderItem(item, look.columns)
  }
}

type Push = Extract<TimelineItem, { kind: 'push' }>

function isSamePush(before: Push, after: Push): boolean {
  return before.outward === after.outward && before.text === after.text
}

type Preparation = Extract<TimelineItem, { kind: 'preparation' }>

function linesForPreparation(
  item: Preparation,
  previous: Preparation,
  { columns, isTTY }: Look,
): string[] {
  const settled = item.phases.filter((phase) => {
    const earlier = previous.phases.find(({ name }) => name === phase.name)
    return phase.state !== 'running' && phase.state !== earlier?.state
  })
  const lines = settled.flatMap((phase) => linesForPhase(phase, isTTY))
  if (item.ready && !previous.ready && isTTY) lines.push(...renderItem(item, columns))
  return lines
}

function linesForPhase(phase: PhaseLine, isTTY: boolean): string[] {
  if (phase.state === 'failed') return renderFailedPhase(phase)
  return isTTY ? [] : [renderPhases([phase])]
}

function describeQueue(place: Place): string {
  return `◌ waiting for a free slot, ${formatPlace(place)}`
}

function describeWork(timeline: readonly TimelineItem[], now: number): string {
  const since = (at: string) => formatDuration(Math.max(0, now - Date.parse(at)))
  const last = timeline.at(-1)
  if (!last) return ''
  switch (last.kind) {
    case 'preparation': {
      const running = last.phases.find(({ state }) => state === 'running')
      const elapsed = running ? ` ${since(running.startedAt)}` : ''
      const said = oneLine(running?.lines.at(-1) ?? '')
      const told = [`${renderPhases(last.phases)}${elapsed}`, said].filter(Boolean).join(' · ')
      return last.ready ? '◐ starting' : told
    }
    case 'tool':
      return last.output === null
        ? `${renderToolCall(last, WITHOUT_TERMINAL)} ${since(last.at)}`
        : `◐ working ${since(last.at)}`
    case 'question':
      return last.open ? '' : '◐ working'
    case 'end':
    case 'notice':
      return ''
    default:
      return `◐ working ${since(last.at)}`
  }
}

interface ScreenOptions {
  output: Output
  columns: () => number
  makeSafe: (text: string) => string
}

/** Beside colours, `\r` and "erase line" are the only control sequences that are ever written. */
function createScreen({ output, columns, makeSafe }: ScreenOptions) {
  let shown = ''
  let isPaused = false
  const erase = () => {
    if (shown !== '') output.write('\r\x1b[2K')
    shown = ''
  }
  return {
    /** Of safe text. */
    lines: (lines: string[]) => {
      if (lines.length === 0) return
      erase()
      output.write(`${lines.map((line) => paintLine(output, line)).join('\n')}\n`)
    },
    status: (text: string) => {
      if (!output.isTTY || isPaused) return
      const line = fitLine(oneLine(makeSafe(text)), columns() - 1)
      if (line === shown) return
      erase()
      output.write(line)
      shown = line
    },
    pause: () => {
      erase()
      isPaused = true
    },
    resume: () => {
      isPaused = false
    },
  }
}
