// What may be reached: a level, and at one of them the hosts.
import type { NetworkLevel } from '../../../src/protocol/environment.ts'
import { LEVELS } from '../composer/task-settings.tsx'
import { HostsField } from '../network/hosts-field.tsx'
import { Field, Select, TextArea } from '../ui/field.tsx'
import { type NetworkDraft, type NetworkProblems, readsRules } from './network-draft.ts'

const MEANINGS: Record<NetworkLevel, string> = {
  none: 'No host. The repository and the model still work: they are doors of Errand.',
  trusted: 'The package registries of the image and a list of well-known hosts.',
  custom: 'The hosts that you list.',
  full: 'Every public host. What the agent reads can then be sent anywhere.',
}

interface NetworkFieldsProps {
  draft: NetworkDraft
  problems: NetworkProblems
  onChange: (change: Partial<NetworkDraft>) => void
}

export function NetworkFields({ draft, problems, onChange }: NetworkFieldsProps) {
  return (
    <div className="flex flex-col gap-3">
      <Field label="Network" hint={MEANINGS[draft.level]}>
        {(id) => (
          <Select
            id={id}
            value={draft.level}
            onChange={(event) => onChange({ level: event.target.value as NetworkLevel })}
          >
            {Object.entries(LEVELS).map(([level, word]) => (
              <option key={level} value={level}>
                {word}
              </option>
            ))}
          </Select>
        )}
      </Field>
      {draft.level === 'custom' ? (
        <HostsField fields={draft} problem={problems.domains} onChange={onChange} />
      ) : null}
      {readsRules(draft.level) ? (
        <Field
          label="Only these requests to some hosts"
          hint="One on each line: a host, methods, paths. Such a host is reached by its rules alone, and the gateway reads what is asked of it."
          problem={problems.rules}
        >
          {(id) => (
            <TextArea
              id={id}
              value={draft.rules}
              rows={3}
              placeholder={'api.example.com GET,HEAD /v1/*'}
              onChange={(event) => onChange({ rules: event.target.value })}
            />
          )}
        </Field>
      ) : null}
    </div>
  )
}
