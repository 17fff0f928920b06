// The timeline of a session: every kind of item has its case here and its file beside this one.
import { useMemo, useState } from 'react'
import type { AllowScope, PushGrantChange } from '../../../src/protocol/session.ts'
import type { TimelineItem } from '../../../src/protocol/timeline.ts'
import { Button } from '../ui/button.tsx'
import { Glyph } from '../ui/glyph.tsx'
import { EndItem } from './end-item.tsx'
import { HookItem } from './hook-item.tsx'
import { DeniedItem, NoticeItem, PushItem } from './line-items.tsx'
import { LongRows, ShortRows } from './long-rows.tsx'
import { OpenStateProvider } from './open-state.tsx'
import { OutputItem } from './output-item.tsx'
import { PreparationItem } from './preparation-item.tsx'
import { PromptItem } from './prompt-item.tsx'
import { QuestionItem } from './question-item.tsx'
import type { Row } from './rows.ts'
import { LiveText, TextItem, ThinkingItem } from './said-items.tsx'
import { ToolCall } from './tool-item.tsx'
import { ToolRun } from './tool-run.tsx'
import { useStickToBottom } from './use-stick-to-bottom.ts'
import { WishItem } from './wish-item.tsx'

/** Above this many rows only those in sight are drawn. */
const DRAW_ALL_ROWS = 200

export interface TimelineActions {
  /** Whether the session has failed, and can be tried again. */
  failed: boolean
  onRetry: () => void
  onAllow: (allowed: { scope: AllowScope; host?: string }) => void
  onGrant: (grant: PushGrantChange) => void
  onStop: () => void
  onSendAgain: (turnId: string) => void
  onTakeBack: (turnId: string, text: string) => void
}

export function Timeline({
  rows,
  liveText,
  active,
  actions,
}: {
  rows: Row[]
  liveText: string | null
  /** Whether a turn is running: what has no result yet may still get one. */
  active: boolean
  actions: TimelineActions
}) {
  // As state and not as a ref: who draws the rows must be told when it is there.
  const [scroller, setScroller] = useState<HTMLElement | null>(null)
  const { away, toEnd } = useStickToBottom(scroller)
  const lastOf = useMemo(() => lastKeys(rows), [rows])
  const draw = (row: Row) => <RowView row={row} active={active} lastOf={lastOf} actions={actions} />
  return (
    <div className="relative min-h-0 flex-1">
      <div
        ref={setScroller}
        data-timeline
        role="log"
        aria-label="Timeline"
        aria-live="off"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by keyboard
        tabIndex={0}
        className="h-full overflow-y-auto overscroll-contain px-4 focus-visible:outline-offset-[-2px] sm:px-6 [overflow-anchor:none]"
      >
        <div className="mx-auto max-w-[760px] pb-6">
          <OpenStateProvider>
            {scroller && rows.length > DRAW_ALL_ROWS ? (
              <LongRows rows={rows} draw={draw} scroller={scroller} />
            ) : null}
            {rows.length > DRAW_ALL_ROWS ? null : <ShortRows rows={rows} draw={draw} />}
          </OpenStateProvider>
          {liveText ? <LiveText text={liveText} /> : null}
        </div>
      </div>
      {away ? (
        <Button
          onClick={toEnd}
          className="absolute bottom-3 left-1/2 -translate-x-1/2 rounded-full shadow-md"
        >
          <Glyph name="down" /> To the end
        </Button>
      ) : null}
    </div>
  )
}

interface LastKeys {
  preparation: string | undefined
  end: string | undefined
}

/** Only what happened last can be retried: the last preparation, and the last turn when nothing was asked since. */
function lastKeys(rows: readonly Row[]): LastKeys {
  const last = (...kinds: TimelineItem['kind'][]) =>
    rows.findLast((row) => row.kind === 'item' && kinds.includes(row.item.kind))
  const latest = last('preparation', 'prompt', 'end')
  return {
    preparation: last('preparation')?.key,
    end: latest?.kind === 'item' && latest.item.kind === 'end' ? latest.key : undefined,
  }
}

function RowView({
  row,
  active,
  lastOf,
  actions,
}: {
  row: Row
  active: boolean
  lastOf: LastKeys
  actions: TimelineActions
}) {
  switch (row.kind) {
    case 'tool':
      return <ToolCall node={row.node} active={active} />
    case 'run':
      return <ToolRun id={row.key} nodes={row.nodes} active={active} />
    case 'item':
      return (
        <ItemView
          rowKey={row.key}
          item={row.item}
          active={active}
          lastOf={lastOf}
          actions={actions}
        />
      )
  }
}

function ItemView({
  rowKey,
  item,
  active,
  lastOf,
  actions,
}: {
  rowKey: string
  active: boolean
  item: TimelineItem
  lastOf: LastKeys
  actions: TimelineActions
}) {
  switch (item.kind) {
    case 'prompt':
      return <PromptItem item={item} onTakeBack={actions.onTakeBack} />
    case 'preparation':
      return <PreparationItem item={item} current={rowKey === lastOf.preparation} {...actions} />
    case 'tool':
      return <ToolCall node={{ tool: item, children: [] }} active={active} />
    case 'text':
      return <TextItem text={item.text} />
    case 'thinking':
      return <ThinkingItem seq={item.seq} text={item.text} />
    case 'hook':
      return <HookItem item={item} />
    case 'output':
      return <OutputItem text={item.text} />
    case 'question':
      return <QuestionItem item={item} />
    case 'notice':
      return <NoticeItem item={item} />
    case 'wish':
      return <WishItem item={item} onAllow={actions.onAllow} />
    case 'denied':
      return <DeniedItem item={item} onAllow={actions.onAllow} />
    case 'push':
      return <PushItem item={item} onGrant={actions.onGrant} />
    case 'end':
      return (
        <EndItem item={item} current={rowKey === lastOf.end} onSendAgain={actions.onSendAgain} />
      )
  }
}
