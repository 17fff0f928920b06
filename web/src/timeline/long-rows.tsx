// The rows of a timeline: all of them while they are few, only those in sight when they are many.
import { useVirtualizer } from '@tanstack/react-virtual'
import type { ReactNode } from 'react'
import type { Row } from './rows.ts'

const ROW_ESTIMATE_PX = 36

interface RowsProps {
  rows: Row[]
  draw: (row: Row) => ReactNode
}

export function ShortRows({ rows, draw }: RowsProps) {
  return rows.map((row) => (
    <div key={row.key} data-row={row.kind === 'item' ? row.item.kind : row.kind}>
      {draw(row)}
    </div>
  ))
}

export function LongRows({ rows, draw, scroller }: RowsProps & { scroller: HTMLElement }) {
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller,
    estimateSize: () => ROW_ESTIMATE_PX,
    getItemKey: (index) => rows[index]?.key ?? index,
    overscan: 12,
    // It scrolls there when it begins; where one is already is no move.
    initialOffset: () => scroller.scrollTop,
  })
  return (
    <div className="relative" style={{ height: virtual.getTotalSize() }}>
      {virtual.getVirtualItems().map(({ key, index, start }) => {
        const row = rows[index]
        return row ? (
          <div
            key={key}
            ref={virtual.measureElement}
            data-index={index}
            data-row={row.kind === 'item' ? row.item.kind : row.kind}
            // Contains the margins of what is inside, so that the measured height is the whole height.
            className="absolute inset-x-0 top-0 flow-root"
            style={{ transform: `translateY(${start}px)` }}
          >
            {draw(row)}
          </div>
        ) : null
      })}
    </div>
  )
}
