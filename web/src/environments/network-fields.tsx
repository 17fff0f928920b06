// What may be reached: a level, and at one of them the hosts.
import type { NetworkLevel } from '../../../src/protocol/environment.ts'
import { LEVELS } from '../composer/task-settings.tsx'
import { Field, Select, TextArea } from '../ui/field.tsx'

const MEANINGS: Record<NetworkLevel, string> = {
  none: 'No host. The repository and the model still work: they are doors of Errand.',
  trusted: 'The package registries of the image and a list of well-known hosts.',
  custom: 'The hosts that you list.',
  full: 'Every public host. What the agent reads can then be sent anywhere.',
}

interface NetworkDraft {
  level: NetworkLevel
  /** One on each line. */
  domains: string
  includeTrusted: boolean
}

interface NetworkFieldsProps {
  draft: NetworkDraft
  /** What is wrong with the hosts. */
  problem: string | undefined
  onChange: (change: Partial<NetworkDraft>) => void
}

export function NetworkFields({ draft, problem, onChange }: NetworkFieldsProps) {
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
        <>
          <Field
            label="Hosts that may be reached"
            hint="One on each line; *.example.com stands for all below it, and :8443 for another port than those of the web."
            problem={problem}
          >
            {(id) => (
              <TextArea
                id={id}
                value={draft.domains}
                rows={4}
                placeholder={'api.example.com\n*.example.org'}
                onChange={(event) => onChange({ domains: event.target.value })}
              />
            )}
          </Field>
          <label className="hit flex items-center gap-2 text-sm">
            <input
              type="checkbox"
              checked={draft.includeTrusted}
              onChange={(event) => onChange({ includeTrusted: event.target.checked })}
              className="accent-ink"
            />
            And the trusted hosts
          </label>
        </>
      ) : null}
    </div>
  )
}
