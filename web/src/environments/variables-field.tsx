// Variables as .env text. The agent can read them: what looks like a secret is pointed out, and access to a git host can be
// kept as a credential instead, which takes the line out of the text.
import { useState } from 'react'
import { formatEnvText, parseEnvText } from '../../../src/protocol/env-text.ts'
import { findSecretHints, type SecretHint } from '../../../src/protocol/secret-hints.ts'
import { describeError, useApi } from '../app/api.ts'
import { useRequest } from '../app/queries.ts'
import { Button } from '../ui/button.tsx'
import { Field, Input, TextArea } from '../ui/field.tsx'
import { Glyph } from '../ui/glyph.tsx'
import type { FormProps } from './environment-form.tsx'

export function VariablesField({ draft, problems, onChange }: FormProps) {
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
              onKept={() => takeOut(hint.name)}
            />
          ))
        : null}
    </div>
  )
}

function Hint({ hint, secret, onKept }: { hint: SecretHint; secret: string; onKept: () => void }) {
  const api = useApi()
  const [host, setHost] = useState(hint.host ?? '')
  const keep = useRequest(() => api.createCredential({ host: host.trim(), secret }))
  const error = keep.error ? describeError(keep.error) : null
  return (
    <div className="rounded-card border border-line bg-surface p-3 text-sm">
      <p className="flex gap-1.5">
        <Glyph name="note" className="mt-0.5 text-warn" />
        <span className="min-w-0 [overflow-wrap:anywhere]">
          <span className="code-text font-medium">{hint.name}</span> looks like a secret. If it
          opens a git host, keep it as a credential: git uses it outside of the sandbox, and the
          agent never sees it.
        </span>
      </p>
      <div className="mt-2 flex flex-wrap gap-2">
        <Input
          aria-label={`Git host that ${hint.name} opens`}
          value={host}
          placeholder="git.example.com"
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
