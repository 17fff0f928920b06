// What else is said about a new task: environment, network level, mode, model. Everything has a default.
import type { Environment, NetworkLevel } from '../../../src/protocol/environment.ts'
import { HostsField } from '../network/hosts-field.tsx'
import { Field, Select } from '../ui/field.tsx'
import { MODES, ModelField } from './mode-model.tsx'
import type { TaskFields } from './new-task-draft.ts'

export const LEVELS: Record<NetworkLevel, string> = {
  none: 'None',
  trusted: 'Trusted hosts',
  custom: 'Hosts of your choice',
  full: 'Everything',
}

interface Props {
  fields: TaskFields
  environments: readonly Environment[]
  /** What the repository starts with when no other is chosen. */
  startsWith: Environment | undefined
  onChange: (change: Partial<TaskFields>) => void
}

export function TaskSettings({ fields, environments, startsWith, onChange }: Props) {
  return (
    <div className="flex flex-col gap-3">
      <div className="grid grid-cols-2 gap-3 sm:grid-cols-4">
        <Field label="Environment">
          {(id) => (
            <Select
              id={id}
              value={fields.environment}
              onChange={(event) => onChange({ environment: event.target.value })}
            >
              <option value="">{startsWith ? `Default (${startsWith.name})` : 'Default'}</option>
              {environments
                .filter(({ archivedAt }) => !archivedAt)
                .map(({ id: key, name }) => (
                  <option key={key} value={name}>
                    {name}
                  </option>
                ))}
            </Select>
          )}
        </Field>
        <NetworkField
          fields={fields}
          environments={environments}
          startsWith={startsWith}
          onChange={onChange}
        />
        <Field label="Mode">
          {(id) => (
            <Select
              id={id}
              value={fields.mode}
              title={MODES[fields.mode].meaning}
              onChange={(event) => onChange({ mode: event.target.value as TaskFields['mode'] })}
            >
              {Object.entries(MODES).map(([mode, { word }]) => (
                <option key={mode} value={mode}>
                  {word}
                </option>
              ))}
            </Select>
          )}
        </Field>
        <Field label="Model">
          {() => (
            <ModelField
              model={fields.model}
              onChange={(model) => onChange({ model })}
              className="w-full border border-control/60 bg-raised px-2.5"
            />
          )}
        </Field>
      </div>
      {fields.network === 'custom' ? <HostsField fields={fields} onChange={onChange} /> : null}
    </div>
  )
}

function NetworkField({ fields, environments, startsWith, onChange }: Props) {
  const chosen = environments.find(({ name }) => name === fields.environment)
  const environment = fields.environment === '' ? startsWith : chosen
  const level = environment?.network.level
  return (
    <Field label="Network">
      {(id) => (
        <Select
          id={id}
          value={fields.network}
          onChange={(event) => onChange({ network: event.target.value as TaskFields['network'] })}
        >
          <option value="environment">{level ? LEVELS[level] : 'As the environment'}</option>
          {Object.entries(LEVELS)
            .filter(([value]) => value !== level)
            .map(([value, word]) => (
              <option key={value} value={value}>
                {word}
              </option>
            ))}
        </Select>
      )}
    </Field>
  )
}
