// One answer as a large button, with the number key that presses it.
import { classes } from '../ui/classes.ts'
import { Glyph } from '../ui/glyph.tsx'
import { plainText } from '../ui/plain-text.ts'

export function ChoiceButton({
  number,
  label,
  description,
  chosen,
  disabled,
  onChoose,
}: {
  number: number | null
  label: string
  description: string
  /** Undefined where a press answers at once. */
  chosen?: boolean | undefined
  disabled: boolean
  onChoose: () => void
}) {
  return (
    <button
      type="button"
      onClick={onChoose}
      disabled={disabled}
      aria-pressed={chosen}
      className={classes(
        'flex w-full items-start gap-3 rounded-control border bg-raised px-3 py-2.5 text-left transition-colors duration-120 hover:border-accent disabled:opacity-55',
        chosen ? 'border-accent' : 'border-control/60',
      )}
    >
      {chosen === undefined ? null : (
        <Glyph name={chosen ? 'check' : 'ring'} className="mt-0.5 text-accent" />
      )}
      <span className="min-w-0 flex-1 [overflow-wrap:anywhere]">
        <span className="block font-medium">{plainText(label)}</span>
        {description ? (
          <span className="block text-sm text-muted">{plainText(description)}</span>
        ) : null}
      </span>
      {number === null ? null : <kbd className="text-xs text-muted max-sm:hidden">{number}</kbd>}
    </button>
  )
}
