// Variables as .env text. The agent can read them: what looks like a secret is pointed out, and can be kept as a credential
// instead, for a git host or an API, which takes the line out of the text.
import { useState } from 'react'
import type { NewCredential } from '../../../src/protocol/credential.ts'
import { formatEnvText, parseEnvText } from '../../../src/protocol/env-text.ts'
import { findSecretHints, type SecretHint } from '../../../src/protocol/secret-hints.ts'
import { describeError, useApi } from '../app/api.ts'
import { useRequest } from '../app/queries.ts'
import { Button } from '../ui/button.tsx'
import { Field, Input, Select, TextArea } from '../ui/field.tsx'
import { Glyph } from '../ui/glyph.tsx'
import type { FormProps } from './environment-form.tsx'

export function VariablesField({ draft, problems, environmentId, onChange }: FormProps) {
  const parsed = parseEnvText(draft.variables)
  const hints = parsed.ok ? findSecretHints(parsed.variables) : []
  const takeOut = (name: string) => {
    if (!parsed.ok) return
    const { [name]: _, ...rest } = parsed.variables
    onChange({ variables: formatEnvText(rest) })
  }
  return (
    <div className="flex flex-col gap-2">
      <Field
        label="Variables"
        hint="NAME=value lines. Quote what holds blanks, # or several lines. The agent can read them: no place for secrets."
        problem={problems.variables}
      >
        {(id) => (
          <TextArea
            id={id}
            value={draft.variables}
            rows={5}
            placeholder={'NODE_ENV=test\nGREETING="two words"'}
            onChange={(event) => onChange({ variables: event.target.value })}
          />
        )}
      </Field>
      {parsed.ok
        ? hints.map((hint) => (
            <Hint
              key={hint.name}
              hint={hint}
              secret={parsed.variables[hint.name] ?? ''}
              environmentId={environmentId}
              onKept={() => takeOut(hint.name)}
            />
          ))
        : null}
    </div>
  )
}

type Opens = 'git' | 'api'

/** With what it opens: for an API the variable stays, with a placeholder that is worthless outside of this Errand. */
function credentialFor(
  opens: Opens,
  {
    host,
    name,
    secret,
    environmentId,
  }: Record<'host' | 'name' | 'secret', string> & {
    environmentId: string | null
  },
): NewCredential {
  if (opens === 'git') return { host, secret }
  const binding = { variable: name, environmentId }
  return { host, secret: secret.trim(), kind: 'bearer', binding }
}

const PROMISES: Record<Opens, string> = {
  git: 'Git uses it outside of the sandbox, and the agent never sees it.',
  api: 'The gateway adds it to requests to this host. Inside, the variable holds a placeholder, and the agent never sees the secret.',
}

interface HintProps {
  hint: SecretHint
  secret: string
  environmentId: string | null
  onKept: () => void
}

function Hint({ hint, secret, environmentId, onKept }: HintProps) {
  const { name } = hint
  const api = useApi()
  const [host, setHost] = useState(hint.host ?? '')
  const [opens, setOpens] = useState<Opens>(hint.host ? 'git' : 'api')
  const keep = useRequest(() =>
    api.createCredential(credentialFor(opens, { host: host.trim(), name, secret, environmentId })),
  )
  const error = keep.error ? describeError(keep.error) : null
  return (
    <div className="rounded-card border border-line bg-surface p-3 text-sm">
      <p className="flex gap-1.5">
        <Glyph name="note" className="mt-0.5 text-warn" />
        <span className="min-w-0 [overflow-wrap:anywhere]">
          <span className="code-text font-medium">{name}</span> looks like a secret, and the agent
          can read variables. Keep it as a credential instead. {PROMISES[opens]}
        </span>
      </p>
      <div className="mt-2 flex flex-wrap gap-2">
        <Select
          aria-label={`What ${name} opens`}
          value={opens}
          onChange={(event) => setOpens(event.target.value as Opens)}
          className="max-w-36"
        >
          <option value="git">A git host</option>
          <option value="api">An API</option>
        </Select>
        <Input
          aria-label={`Host that ${name} opens`}
          value={host}
          placeholder={opens === 'git' ? 'git.example.com' : 'api.example.com'}
          onChange={(event) => setHost(event.target.value)}
          className="max-w-60"
        />
        <Button
          busy={keep.isPending}
          disabled={!host.trim()}
          onClick={() => keep.mutate(undefined, { onSuccess: onKept })}
        >
          Keep as a credential
        </Button>
      </div>
      {error ? (
        <p role="alert" className="mt-1 text-bad">
          {error.message}
        </p>
      ) : null}
    </div>
  )
}
