// The hosts of the level "custom": a list, and whether the trusted ones are reached as well.
import { Checkbox, Field, TextArea } from '../ui/field.tsx'

interface HostsFields {
  /** One on each line. */
  domains: string
  includeTrusted: boolean
}

export function HostsField({
  fields,
  problem,
  onChange,
}: {
  fields: HostsFields
  problem?: string | undefined
  onChange: (change: Partial<HostsFields>) => void
}) {
  return (
    <>
      <Field
        label="Hosts that may be reached"
        hint="One on each line; *.example.com stands for all below it, and :8443 for another port than those of the web."
        problem={problem}
      >
        {(id) => (
          <TextArea
            id={id}
            value={fields.domains}
            rows={4}
            placeholder={'api.example.com\n*.example.org'}
            onChange={(event) => onChange({ domains: event.target.value })}
          />
        )}
      </Field>
      <Checkbox
        checked={fields.includeTrusted}
        onChange={(includeTrusted) => onChange({ includeTrusted })}
      >
        And the trusted hosts
      </Checkbox>
    </>
  )
}
