// The list of keys.
import { Dialog } from '../ui/dialog.tsx'
import { SHORTCUTS } from './keyboard.ts'

export function ShortcutSheet({ open, onClose }: { open: boolean; onClose: () => void }) {
  return (
    <Dialog open={open} onClose={onClose} title="Keys">
      <dl className="grid grid-cols-[6rem_1fr] gap-y-2">
        {SHORTCUTS.map(([key, meaning]) => (
          <div key={key} className="contents">
            <dt>
              <kbd className="rounded-control bg-surface px-1.5 py-0.5 text-xs whitespace-pre">
                {key}
              </kbd>
            </dt>
            <dd>{meaning}</dd>
          </div>
        ))}
      </dl>
      <p className="mt-4 text-sm text-muted">On other keyboards than a Mac’s, ⌘ is Ctrl.</p>
    </Dialog>
  )
}
