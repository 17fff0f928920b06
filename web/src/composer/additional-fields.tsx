// Further repositories of a new task, each in a folder beside the first: its address, where to start, and whether changes in
// it are pushed.
import { type Access, MOST_REPOSITORIES } from '../../../src/protocol/session.ts'
import { Button, IconButton } from '../ui/button.tsx'
import { Field, Input, Select } from '../ui/field.tsx'
import { Glyph } from '../ui/glyph.tsx'
import type { AdditionalFields, TaskFields } from './new-task-draft.ts'

const ACCESS: Record<Access, string> = {
  write: 'Push',
  read: 'Read only',
}

interface Props {
  fields: TaskFields
  onChange: (change: Partial<TaskFields>) => void
}

export function AdditionalRepositories({ fields: { additional }, onChange }: Props) {
  const change = (key: number, changed: Partial<AdditionalFields>) =>
    onChange({
      additional: additional.map((one) => (one.key === key ? { ...one, ...changed } : one)),
    })
  const add = () => {
    const key = 1 + Math.max(0, ...additional.map((one) => one.key))
    onChange({ additional: [...additional, { key, url: '', baseBranch: '', access: 'write' }] })
  }
  const remove = (key: number) =>
    onChange({ additional: additional.filter((one) => one.key !== key) })
  return (
    <div className="-mt-2 flex flex-col gap-3">
      {additional.map((one, index) => (
        <Row
          key={one.key}
          number={index + 2}
          fields={one}
          onChange={(changed) => change(one.key, changed)}
          onRemove={() => remove(one.key)}
        />
      ))}
      {additional.length < MOST_REPOSITORIES - 1 ? (
        <Button tone="quiet" onClick={add} className="-ml-3 self-start">
          <Glyph name="plus" />
          Repository
        </Button>
      ) : null}
    </div>
  )
}

interface RowProps {
  number: number
  fields: AdditionalFields
  onChange: (changed: Partial<AdditionalFields>) => void
  onRemove: () => void
}

function Row({ number, fields, onChange, onRemove }: RowProps) {
  return (
    <fieldset className="grid min-w-0 grid-cols-2 items-end gap-3 sm:grid-cols-[1fr_9rem_11rem_auto]">
      <legend className="sr-only">Repository {number}</legend>
      <div className="max-sm:col-span-2">
        <Field label={`Address of repository ${number}`}>
          {(id) => (
            <Input
              id={id}
              value={fields.url}
              onChange={(event) => onChange({ url: event.target.value })}
              placeholder="https://github.com/you/library"
              list="recent-repositories"
              inputMode="url"
              autoCapitalize="off"
              autoCorrect="off"
              spellCheck={false}
            />
          )}
        </Field>
      </div>
      <Field label="Start from">
        {(id) => (
          <Input
            id={id}
            value={fields.baseBranch}
            onChange={(event) => onChange({ baseBranch: event.target.value })}
            placeholder="default branch"
            autoCapitalize="off"
            spellCheck={false}
          />
        )}
      </Field>
      <div className="flex items-end gap-1 sm:contents">
        <Field label="Access">
          {(id) => (
            <Select
              id={id}
              value={fields.access}
              onChange={(event) => onChange({ access: event.target.value as Access })}
            >
              {Object.entries(ACCESS).map(([access, word]) => (
                <option key={access} value={access}>
                  {word}
                </option>
              ))}
            </Select>
          )}
        </Field>
        <IconButton label={`Remove repository ${number}`} onClick={onRemove}>
          <Glyph name="cross" />
        </IconButton>
      </div>
    </fieldset>
  )
}
