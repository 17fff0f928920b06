// How the parts of the changes stand: what there is to say about all of them, and below it the list of files beside the diff,
// or above it where there is no room. The list stays in sight while the diff is scrolled.
import type { ReactNode } from 'react'

/** Of the element that scrolls; its children measure their room by it. */
export const CHANGES_SCROLLER = 'relative min-h-0 flex-1 overflow-y-auto [container-type:size]'

/** Of the words that say how lines are commented. */
export const LINE_HINT_ID = 'how-to-comment'

export function ChangesFrame({
  summary,
  list,
  children,
}: {
  summary: ReactNode
  /** Null where there is nothing to choose from. */
  list: ReactNode
  children: ReactNode
}) {
  const head = <div className="px-4 pt-3 pb-4">{summary}</div>
  if (list === null)
    return (
      <>
        {head}
        <div className="px-2 pb-6">{children}</div>
      </>
    )
  return (
    <>
      {head}
      <div className="grid grid-cols-[minmax(0,1fr)] border-line @min-[34rem]:grid-cols-[11.5rem_minmax(0,1fr)] @min-[34rem]:border-t @min-[44rem]:grid-cols-[15rem_minmax(0,1fr)]">
        <div className="px-2 pb-3 @min-[34rem]:sticky @min-[34rem]:top-0 @min-[34rem]:max-h-[100cqh] @min-[34rem]:self-start @min-[34rem]:overflow-y-auto @min-[34rem]:py-2 @min-[34rem]:pr-0">
          {list}
        </div>
        <div className="min-w-0 px-2 pb-6 @min-[34rem]:pt-2">{children}</div>
      </div>
    </>
  )
}
