// Form controls with their label. Selects are the platform's own: on a phone they open as a sheet.
import type {
  InputHTMLAttributes,
  ReactNode,
  Ref,
  SelectHTMLAttributes,
  TextareaHTMLAttributes,
} from 'react'
import { useId } from 'react'
import { classes } from './classes.ts'
import { Glyph } from './glyph.tsx'

const CONTROL =
  'hit w-full min-w-0 rounded-control border border-control/60 bg-raised px-2.5 text-sm placeholder:text-muted'

const QUIET =
  'hit w-full min-w-0 rounded-control bg-transparent px-2 text-sm text-muted hover:bg-surface hover:text-text'

export function Field({
  label,
  hint,
  problem,
  children,
}: {
  label: string
  hint?: ReactNode
  /** What is wrong with it; said to screen readers when it appears. */
  problem?: string | undefined
  children: (id: string) => ReactNode
}) {
  const id = useId()
  return (
    <div className="flex min-w-0 flex-col gap-1">
      <label htmlFor={id} className="text-xs text-muted">
        {label}
      </label>
      {children(id)}
      {problem ? (
        <p role="alert" className="text-xs text-bad">
          {problem}
        </p>
      ) : null}
      {hint ? <p className="text-xs text-muted">{hint}</p> : null}
    </div>
  )
}

export function Input({
  className,
  ...rest
}: InputHTMLAttributes<HTMLInputElement> & { ref?: Ref<HTMLInputElement> }) {
  return <input {...rest} className={classes(CONTROL, className)} />
}

/** A yes or no, with what it means beside it. */
export function Checkbox({
  checked,
  onChange,
  children,
}: {
  checked: boolean
  onChange: (checked: boolean) => void
  children: ReactNode
}) {
  return (
    <label className="hit flex items-center gap-2 text-sm">
      <input
        type="checkbox"
        checked={checked}
        onChange={({ target }) => onChange(target.checked)}
        className="accent-ink"
      />
      {children}
    </label>
  )
}

/** Several lines of code or configuration. */
export function TextArea({ className, ...rest }: TextareaHTMLAttributes<HTMLTextAreaElement>) {
  return (
    <textarea
      spellCheck={false}
      autoCapitalize="off"
      {...rest}
      className={classes(
        'code-text w-full min-w-0 rounded-control border border-control/60 bg-raised p-2.5 placeholder:text-muted',
        className,
      )}
    />
  )
}

/** `quiet` has no frame of its own: for a row of controls inside a box. */
export function Select({
  className,
  quiet = false,
  children,
  ...rest
}: SelectHTMLAttributes<HTMLSelectElement> & { quiet?: boolean }) {
  return (
    <span className={classes('relative inline-flex min-w-0', className)}>
      <select
        {...rest}
        className={classes(quiet ? QUIET : CONTROL, 'appearance-none truncate pr-7')}
      >
        {children}
      </select>
      <Glyph
        name="down"
        className="pointer-events-none absolute top-1/2 right-2 -translate-y-1/2 text-muted"
      />
    </span>
  )
}
