// The lines of a file's diff in the order in which they are shown, and how arrow keys choose among them.
import type { FileDiffMetadata, SelectedLineRange } from '@pierre/diffs'
import type { CommentSide } from './review-comments.ts'

export interface DiffLine {
  side: CommentSide
  /** From 1, in the file as it is now or, of a removed line, as it was. */
  number: number
  text: string
  isChanged: boolean
}

/** Places in the list of lines: where the choice began, and where it is now. */
export interface LineChoice {
  anchor: number
  at: number
}

/** Of what was parsed and not of the patch itself: the parser puts lines beside those that they resemble. */
export function linesOf({
  hunks,
  additionLines,
  deletionLines,
}: Pick<FileDiffMetadata, 'hunks' | 'additionLines' | 'deletionLines'>): DiffLine[] {
  return hunks.flatMap((hunk) => {
    let added = firstNumber(hunk.additionStart, hunk.additionCount)
    let removed = firstNumber(hunk.deletionStart, hunk.deletionCount)
    return hunk.hunkContent.flatMap((part) => {
      const isChanged = part.type === 'change'
      const gone = isChanged ? part.deletions : 0
      const there = isChanged ? part.additions : part.lines
      const lines = [
        ...Array.from({ length: gone }, (_, index): DiffLine => {
          const text = deletionLines[part.deletionLineIndex + index] ?? ''
          return { side: 'deletions', number: removed + index, text, isChanged }
        }),
        ...Array.from({ length: there }, (_, index): DiffLine => {
          const text = additionLines[part.additionLineIndex + index] ?? ''
          return { side: 'additions', number: added + index, text, isChanged }
        }),
      ]
      removed += isChanged ? gone : there
      added += there
      return lines
    })
  })
}

/** Where a side has no lines, git names the line before them. */
function firstNumber(start: number, count: number): number {
  return count === 0 ? start + 1 : start
}

/** The first key chooses the first line that changed. `extend`: the choice keeps where it began. */
export function moveChoice(
  lines: readonly DiffLine[],
  choice: LineChoice | null,
  { step, extend }: { step: 1 | -1; extend: boolean },
): LineChoice | null {
  if (lines.length === 0) return null
  const first = Math.max(
    0,
    lines.findIndex(({ isChanged }) => isChanged),
  )
  const at = choice ? Math.max(0, Math.min(lines.length - 1, choice.at + step)) : first
  return { anchor: choice && extend ? choice.anchor : at, at }
}

export function rangeOf(
  lines: readonly DiffLine[],
  { anchor, at }: LineChoice,
): SelectedLineRange | null {
  const [from, to] = [lines[anchor], lines[at]]
  if (!from || !to) return null
  return { start: from.number, side: from.side, end: to.number, endSide: to.side }
}

/** What is said of the line that was reached. */
export function describeLine({ side, number, text, isChanged }: DiffLine): string {
  const what = side === 'deletions' ? 'removed line' : isChanged ? 'added line' : 'line'
  return `${what} ${number}: ${text.trim()}`
}
