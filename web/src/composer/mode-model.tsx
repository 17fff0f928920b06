// How the agent works and which model it uses: at the start and while it works.
import { useEffect, useState } from 'react'
import type { Mode } from '../../../src/protocol/session.ts'
import { Select } from '../ui/field.tsx'

export const MODES: Record<Mode, { word: string; meaning: string }> = {
  work: {
    word: 'Work',
    meaning: 'Does everything inside the sandbox without asking; still asks real questions',
  },
  ask: { word: 'Ask', meaning: 'Asks before it changes files or runs commands' },
  plan: { word: 'Plan', meaning: 'Reads only, and ends with a plan for you to approve' },
}

export function ModeSelect({ mode, onChange }: { mode: Mode; onChange: (mode: Mode) => void }) {
  return (
    <Select
      aria-label="Mode"
      title={MODES[mode].meaning}
      value={mode}
      onChange={(event) => onChange(event.target.value as Mode)}
      quiet
      className="w-20 touch:w-24"
    >
      {Object.entries(MODES).map(([value, { word, meaning }]) => (
        <option key={value} value={value} title={meaning}>
          {word}
        </option>
      ))}
    </Select>
  )
}

/** Free text, since models change faster than pages. Takes effect when it is left or Enter is pressed. */
export function ModelField({
  model,
  onChange,
  className,
}: {
  model: string | null
  onChange: (model: string | null) => void
  className: string
}) {
  const [text, setText] = useState(model ?? '')
  useEffect(() => setText(model ?? ''), [model])
  const commit = () => {
    const next = text.trim() || null
    if (next !== model) onChange(next)
  }
  return (
    <>
      <input
        aria-label="Model"
        title="Model: the default one when empty"
        list="known-models"
        value={text}
        onChange={(event) => setText(event.target.value)}
        onBlur={commit}
        onKeyDown={(event) => event.key === 'Enter' && commit()}
        placeholder="Default model"
        spellCheck={false}
        autoComplete="off"
        className={`hit min-w-0 rounded-control text-sm text-ellipsis placeholder:text-muted ${className}`}
      />
      <datalist id="known-models">
        <option value="opus" />
        <option value="sonnet" />
        <option value="haiku" />
      </datalist>
    </>
  )
}
