// The fields of an environment, each with what it means.
import { Field, Input, Select, TextArea } from '../ui/field.tsx'
import type { EnvironmentDraft, Problems } from './environment-draft.ts'
import { GitFields } from './git-fields.tsx'
import { NetworkFields } from './network-fields.tsx'
import { VariablesField } from './variables-field.tsx'

export interface FormProps {
  draft: EnvironmentDraft
  problems: Problems
  /** Null while it is made. */
  environmentId: string | null
  onChange: (change: Partial<EnvironmentDraft>) => void
}

export function EnvironmentForm(props: FormProps) {
  const { draft, problems, onChange } = props
  return (
    <div className="flex flex-col gap-6">
      <div className="grid gap-4 sm:grid-cols-2">
        <Field label="Name" problem={problems.name}>
          {(id) => (
            <Input
              id={id}
              value={draft.name}
              maxLength={80}
              onChange={(event) => onChange({ name: event.target.value })}
            />
          )}
        </Field>
        <ImageField {...props} />
      </div>
      <NetworkFields draft={draft} problems={problems} onChange={onChange} />
      <VariablesField {...props} />
      <SetupFields {...props} />
      <GitFields {...props} />
      <LimitFields {...props} />
    </div>
  )
}

function ImageField({ draft, problems, onChange }: FormProps) {
  return (
    <Field
      label="Image"
      problem={problems.imagePath ?? problems.imageName}
      hint={
        draft.imageKind === 'host'
          ? 'The tools of the machine that Errand runs on, unless the repository names an image that is here.'
          : undefined
      }
    >
      {(id) => (
        <>
          <Select
            id={id}
            value={draft.imageKind}
            onChange={(event) =>
              onChange({ imageKind: event.target.value as EnvironmentDraft['imageKind'] })
            }
          >
            <option value="host">This machine's tools</option>
            <option value="named">An image with a name</option>
            <option value="rootfs">A root file system</option>
          </Select>
          {draft.imageKind === 'named' ? (
            <Input
              aria-label="Name of the image"
              value={draft.imageName}
              placeholder="universal"
              onChange={(event) => onChange({ imageName: event.target.value })}
              className="code-text"
            />
          ) : null}
          {draft.imageKind === 'rootfs' ? (
            <Input
              aria-label="Path of the root file system"
              value={draft.imagePath}
              placeholder="/srv/images/debian"
              onChange={(event) => onChange({ imagePath: event.target.value })}
              className="code-text"
            />
          ) : null}
        </>
      )}
    </Field>
  )
}

function SetupFields({ draft, problems, onChange }: FormProps) {
  return (
    <div className="flex flex-col gap-3">
      <Field
        label="Setup script"
        hint="Bash, as root, with nothing of the repository but the files named below. What it makes is kept for later sessions. Without one, the repository's own .errand/environment.yaml may bring a script."
        problem={problems.setup}
      >
        {(id) => (
          <TextArea
            id={id}
            value={draft.setup}
            rows={4}
            placeholder="apt-get install -y postgresql-client"
            onChange={(event) => onChange({ setup: event.target.value })}
          />
        )}
      </Field>
      <Field
        label="Files of the repository that it needs"
        hint="Lock files, one on each line."
        problem={problems.setupInputs}
      >
        {(id) => (
          <TextArea
            id={id}
            value={draft.setupInputs}
            rows={2}
            placeholder="package-lock.json"
            onChange={(event) => onChange({ setupInputs: event.target.value })}
          />
        )}
      </Field>
    </div>
  )
}

const LIMITS = [
  ['memoryGib', 'Memory, GiB'],
  ['cpus', 'CPUs'],
  ['processes', 'Processes'],
  ['diskGib', 'Disk, GiB'],
] as const

function LimitFields({ draft, problems, onChange }: FormProps) {
  return (
    <div className="grid grid-cols-2 gap-3 sm:grid-cols-4">
      {LIMITS.map(([key, label]) => (
        <Field key={key} label={label} problem={problems[key]}>
          {(id) => (
            <Input
              id={id}
              inputMode="decimal"
              value={draft[key]}
              onChange={(event) => onChange({ [key]: event.target.value })}
              className="tabular-nums"
            />
          )}
        </Field>
      ))}
    </div>
  )
}
