// The button: says what it does. `primary` is ink; `accent` is kept for answers that somebody waits for.
import type { ButtonHTMLAttributes, Ref } from 'react'
import { classes } from './classes.ts'

type ButtonTone = 'primary' | 'plain' | 'quiet' | 'accent' | 'bad'

const TONES: Record<ButtonTone, string> = {
  primary: 'bg-ink text-on-ink hover:opacity-90',
  plain: 'border border-control/60 bg-raised hover:bg-surface',
  quiet: 'text-muted hover:bg-surface hover:text-text',
  accent: 'bg-accent text-on-accent hover:opacity-90',
  bad: 'border border-bad/60 text-bad hover:bg-bad-soft',
}

export interface ButtonProps extends ButtonHTMLAttributes<HTMLButtonElement> {
  tone?: ButtonTone
  /** Shows that the request is under way; the button keeps its place and cannot be pressed twice. */
  busy?: boolean
  ref?: Ref<HTMLButtonElement>
}

export function Button({
  tone = 'plain',
  busy = false,
  className,
  children,
  ...rest
}: ButtonProps) {
  return (
    <button
      type="button"
      {...rest}
      disabled={rest.disabled || busy}
      aria-busy={busy || undefined}
      className={classes(
        'hit inline-flex items-center justify-center gap-2 whitespace-nowrap rounded-control px-3 text-sm font-medium transition-colors duration-120 disabled:opacity-55',
        TONES[tone],
        className,
      )}
    >
      {children}
    </button>
  )
}

/** A button that shows a glyph alone: `label` is what a screen reader says and what the pointer shows. */
export function IconButton({ label, className, ...rest }: ButtonProps & { label: string }) {
  return (
    <Button
      tone="quiet"
      {...rest}
      aria-label={label}
      title={rest.title ?? label}
      className={classes('hit-square px-0', className)}
    />
  )
}
