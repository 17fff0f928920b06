// Repositories whose sessions start with another environment than the default.
import { useState } from 'react'
import type { EnvironmentDefaults } from '../../../src/protocol/api.ts'
import type { Environment } from '../../../src/protocol/environment.ts'
import { describeError, useApi } from '../app/api.ts'
import { useEnvironmentChange } from '../app/queries.ts'
import { Button, IconButton } from '../ui/button.tsx'
import { Field, Input, Select } from '../ui/field.tsx'
import { Glyph } from '../ui/glyph.tsx'
import { plainText } from '../ui/plain-text.ts'

interface Choice {
  repository: string
  environment: string | null
}

export function RepositoryDefaults({
  environments,
  defaults,
}: {
  environments: readonly Environment[]
  defaults: EnvironmentDefaults
}) {
  const api = useApi()
  const choose = useEnvironmentChange((choice: Choice) => api.setEnvironmentDefault(choice))
  const nameOf = (id: string) => environments.find((one) => one.id === id)?.name ?? id
  return (
    <section aria-labelledby="repository-defaults" className="flex flex-col gap-2">
      <h2 id="repository-defaults" className="font-semibold">
        For one repository only
      </h2>
      <p className="text-sm text-muted">
        Sessions on these repositories start with another environment than the default.
      </p>
      <ul>
        {defaults.repositories.map(({ repository, environment }) => (
          <li key={repository} className="flex items-center gap-2 text-sm">
            <span className="code-text min-w-0 flex-1 [overflow-wrap:anywhere]">
              {plainText(repository)}
            </span>
            <span className="shrink-0 text-muted">{nameOf(environment)}</span>
            <IconButton
              label={`Forget the choice for ${repository}`}
              onClick={() => choose.mutate({ repository, environment: null })}
            >
              <Glyph name="cross" />
            </IconButton>
          </li>
        ))}
      </ul>
      <NewChoice environments={environments} onChoose={choose.mutate} busy={choose.isPending} />
      {choose.error ? (
        <p role="alert" className="text-sm text-bad">
          {describeError(choose.error).message}
        </p>
      ) : null}
    </section>
  )
}

function NewChoice({
  environments,
  onChoose,
  busy,
}: {
  environments: readonly Environment[]
  onChoose: (choice: Choice, options: { onSuccess: () => void }) => void
  busy: boolean
}) {
  const [repository, setRepository] = useState('')
  const [chosen, setChosen] = useState('')
  const environment = chosen || environments[0]?.id || ''
  return (
    <form
      className="grid items-end gap-2 sm:grid-cols-[1fr_12rem_auto]"
      onSubmit={(event) => {
        event.preventDefault()
        const choice = { repository: repository.trim(), environment }
        if (choice.repository) onChoose(choice, { onSuccess: () => setRepository('') })
      }}
    >
      <Field label="Repository">
        {(id) => (
          <Input
            id={id}
            value={repository}
            placeholder="https://git.example.com/shop/cart.git"
            onChange={(event) => setRepository(event.target.value)}
          />
        )}
      </Field>
      <Field label="Environment">
        {(id) => (
          <Select id={id} value={environment} onChange={(event) => setChosen(event.target.value)}>
            {environments.map(({ id: value, name }) => (
              <option key={value} value={value}>
                {name}
              </option>
            ))}
          </Select>
        )}
      </Field>
      <Button type="submit" busy={busy} disabled={!repository.trim()}>
        Choose
      </Button>
    </form>
  )
}
