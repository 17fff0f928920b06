// The palette: every command and every session, found by typing.
import { useId, useState } from 'react'
import { classes } from '../ui/classes.ts'
import { Dialog } from '../ui/dialog.tsx'

export interface PaletteEntry {
  /** Where others may have its label and hint too. */
  key?: string
  label: string
  hint: string
  run: () => void
}

const SHOWN = 12
/** Before the dialog does, which waits a moment: what is typed meanwhile would be lost. */
const focusAtOnce = (field: HTMLInputElement | null) => field?.focus()

export function Palette({
  open,
  onClose,
  entries,
}: {
  open: boolean
  onClose: () => void
  entries: readonly PaletteEntry[]
}) {
  return (
    <Dialog open={open} onClose={onClose} title="Commands" hideTitle>
      <PaletteList entries={entries} onClose={onClose} />
    </Dialog>
  )
}

function PaletteList({
  entries,
  onClose,
}: {
  entries: readonly PaletteEntry[]
  onClose: () => void
}) {
  const [search, setSearch] = useState('')
  const [index, setIndex] = useState(0)
  const id = useId()
  const words = search.toLowerCase().split(/\s+/).filter(Boolean)
  const found = entries
    .filter(({ label, hint }) =>
      words.every((word) => `${label} ${hint}`.toLowerCase().includes(word)),
    )
    .slice(0, SHOWN)
  const current = Math.min(index, found.length - 1)
  const run = (entry: PaletteEntry | undefined) => {
    if (!entry) return
    onClose()
    entry.run()
  }
  const onKeyDown = (event: React.KeyboardEvent) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key]
    if (step && found.length > 0) {
      event.preventDefault()
      setIndex((current + step + found.length) % found.length)
    } else if (event.key === 'Enter') {
      event.preventDefault()
      run(found[current])
    }
  }
  return (
    <>
      <input
        ref={focusAtOnce}
        role="combobox"
        aria-label="Find a command or a session"
        aria-expanded="true"
        aria-controls={`${id}-list`}
        aria-activedescendant={found.length > 0 ? `${id}-${current}` : undefined}
        value={search}
        onChange={(event) => {
          setSearch(event.target.value)
          setIndex(0)
        }}
        onKeyDown={onKeyDown}
        placeholder="Find a command or a session"
        className="hit w-full bg-transparent px-1 text-lg outline-none placeholder:text-muted"
      />
      <div role="listbox" id={`${id}-list`} aria-label="Found" className="mt-2 -mx-1">
        {found.map((entry, at) => (
          // biome-ignore lint/a11y/useKeyWithClickEvents: the keys are handled by the field above
          <div
            key={entry.key ?? entry.label}
            id={`${id}-${at}`}
            role="option"
            tabIndex={-1}
            aria-selected={at === current}
            onClick={() => run(entry)}
            onPointerMove={() => setIndex(at)}
            className={classes(
              'hit flex cursor-pointer items-center gap-3 rounded-control px-2',
              at === current && 'bg-surface',
            )}
          >
            <span className="min-w-0 flex-1 truncate">{entry.label}</span>
            <span className="shrink-0 text-xs text-muted">{entry.hint}</span>
          </div>
        ))}
        {found.length === 0 ? <p className="px-2 py-1 text-muted">Nothing found.</p> : null}
      </div>
    </>
  )
}
