// The box that a person writes in: grows with the text, sends with ⌘↵ (Ctrl+↵), and keeps what was written.
import type { KeyboardEvent, ReactNode, Ref } from 'react'
import { classes } from '../ui/classes.ts'

export function PromptBox({
  value,
  onChange,
  onSend,
  onEscape,
  label,
  placeholder,
  rows = 1,
  children,
  ref,
}: {
  value: string
  onChange: (value: string) => void
  onSend: () => void
  onEscape?: () => void
  label: string
  placeholder: string
  rows?: number
  /** The row of controls below the text. */
  children: ReactNode
  ref?: Ref<HTMLTextAreaElement>
}) {
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.nativeEvent.isComposing) return
    if (event.key === 'Enter' && (event.metaKey || event.ctrlKey)) {
      event.preventDefault()
      onSend()
    } else if (event.key === 'Escape' && onEscape) {
      event.preventDefault()
      onEscape()
    }
  }
  return (
    <div className="rounded-card border border-control/60 bg-raised focus-within:border-text">
      <textarea
        ref={ref}
        data-prompt
        value={value}
        onChange={(event) => onChange(event.target.value)}
        onKeyDown={onKeyDown}
        style={{ minHeight: `calc(${rows} * 1.3125rem + 1rem)` }}
        aria-label={label}
        aria-keyshortcuts="Meta+Enter Control+Enter"
        placeholder={placeholder}
        className={classes(
          'block max-h-[40dvh] w-full resize-none bg-transparent px-3.5 pt-3 pb-1 leading-normal outline-none field-sizing-content placeholder:text-muted',
          value.startsWith('!') && 'code-text',
        )}
      />
      <div className="flex flex-wrap items-center gap-1.5 p-2">{children}</div>
    </div>
  )
}
