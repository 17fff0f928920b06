// The files that changed, as a tree with a mark at the one in view; a press goes to a file's diff. Above the diff it can be closed, beside it it stays.
import { useMemo, useRef, useState } from 'react'
import type { Diff } from '../../../src/protocol/api.ts'
import { Button } from '../ui/button.tsx'
import { classes } from '../ui/classes.ts'
import { Counts } from '../ui/counts.tsx'
import { plural } from '../ui/format.ts'
import { Glyph } from '../ui/glyph.tsx'
import { plainText } from '../ui/plain-text.ts'
import { useFileInView, useShownRow } from './file-in-view.ts'
import { type FileChange, type TreeRow, treeRows } from './file-tree.ts'

const SIGNS: Record<FileChange['status'], { sign: string; color: string }> = {
  added: { sign: 'A', color: 'text-add' },
  modified: { sign: 'M', color: 'text-muted' },
  deleted: { sign: 'D', color: 'text-del' },
  renamed: { sign: 'R', color: 'text-muted' },
}
/** Above the diff more of them would push it out of sight. */
const OPEN_ABOVE = 8
const INDENT_PX = 8
const MOST_INDENTS = 5

export function FileList({
  files,
  target,
  onChoose,
}: {
  files: Diff['files']
  /** The file that was gone to last. */
  target: string | null
  onChoose: (path: string) => void
}) {
  const nav = useRef<HTMLElement>(null)
  const inView = useFileInView(nav, target)
  useShownRow(nav, inView)
  const [open, setOpen] = useState(files.length <= OPEN_ABOVE)
  const rows = useMemo(() => treeRows(files), [files])
  return (
    <nav ref={nav} aria-label="Files">
      <Button
        tone="quiet"
        aria-expanded={open}
        onClick={() => setOpen(!open)}
        className="-mx-2 px-2 text-xs @min-[34rem]:hidden"
      >
        <Glyph
          name="chevron"
          className={classes('transition-transform duration-120', open && 'rotate-90')}
        />
        {plural(files.length, 'file')}
      </Button>
      <ul className={open ? undefined : 'hidden @min-[34rem]:block'}>
        {rows.map((row) => (
          <li key={row.kind === 'file' ? row.file.path : row.path}>
            <Row row={row} inView={inView} onChoose={onChoose} />
          </li>
        ))}
      </ul>
    </nav>
  )
}

function Row({
  row,
  inView,
  onChoose,
}: {
  row: TreeRow
  inView: string | null
  onChoose: (path: string) => void
}) {
  const paddingLeft = 8 + INDENT_PX * Math.min(row.depth, MOST_INDENTS)
  if (row.kind === 'folder')
    return (
      <p
        className="truncate pt-1.5 pr-2 pb-0.5 text-xs text-muted"
        style={{ paddingLeft }}
        title={plainText(row.path)}
      >
        {plainText(row.name)}
      </p>
    )
  const isInView = row.file.path === inView
  const { path, oldPath, status, binary, insertions, deletions } = row.file
  const shown = plainText(path)
  return (
    <button
      type="button"
      onClick={() => onChoose(path)}
      aria-current={isInView ? 'true' : undefined}
      aria-label={`${shown}, ${status}, ${binary ? 'binary' : `+${insertions} −${deletions}`}`}
      title={oldPath ? `${plainText(oldPath)} → ${shown}` : shown}
      style={{ paddingLeft }}
      className={classes(
        'flex min-h-[28px] w-full items-center gap-1.5 rounded-control border-l-2 pr-2 text-left focus-visible:outline-offset-[-2px] touch:min-h-[40px]',
        isInView ? 'border-ink bg-line/60 font-medium' : 'border-transparent hover:bg-surface',
      )}
    >
      <span className={classes('code-text w-3 shrink-0 text-xs', SIGNS[status].color)}>
        {SIGNS[status].sign}
      </span>
      <span className="min-w-0 flex-1 truncate text-sm">{plainText(row.name)}</span>
      <Counts
        className="text-xs"
        insertions={insertions}
        deletions={deletions}
        none={binary ? 'binary' : undefined}
      />
    </button>
  )
}
