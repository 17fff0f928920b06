// A new credential. What it is asked for depends on how it goes along with requests; its value leaves the page once.
import { useMutation, useQueryClient } from '@tanstack/react-query'
import type { FormEvent } from 'react'
import {
  type CredentialKind,
  isApiKind,
  type NewCredential,
} from '../../../src/protocol/credential.ts'
import type { Environment } from '../../../src/protocol/environment.ts'
import { describeError, useApi } from '../app/api.ts'
import { keys } from '../app/queries.ts'
import { type KeptFields, useKeptFields } from '../composer/use-kept-fields.ts'
import { Button } from '../ui/button.tsx'
import { Failure } from '../ui/failure.tsx'
import { Checkbox, Field, Input, Select, TextArea } from '../ui/field.tsx'

const KINDS: readonly [CredentialKind, string][] = [
  ['https', 'Git over https: token or password'],
  ['ssh', 'Git over ssh: private key'],
  ['bearer', 'API: Authorization: Bearer'],
  ['header', 'API: a header of its own'],
  ['basic', 'API: name and password'],
  ['query', 'API: a parameter of the address'],
]

const EMPTY = {
  kind: 'https' as CredentialKind,
  hosts: '',
  username: '',
  secret: '',
  carrier: '',
  prefix: '',
  allowHttp: false,
  paths: '',
  variable: '',
  environmentId: '',
}
type Draft = typeof EMPTY

const SECRETS = ['secret'] as const

/** What was filled in and not kept yet, its value only while the page lives. */
export const useCredentialDraft = () => useKeptFields<Draft>('credential', SECRETS)

export function CredentialForm({
  environments,
  filledIn: { kept, change: set, forget },
  onDone,
}: {
  environments: Environment[]
  filledIn: KeptFields<Draft>
  onDone: () => void
}) {
  const api = useApi()
  const queries = useQueryClient()
  const draft = { ...EMPTY, ...kept }
  const save = useMutation({
    mutationFn: () => api.createCredential(toCredential(draft)),
    onSuccess: () => {
      forget()
      onDone()
    },
    onSettled: () => queries.invalidateQueries({ queryKey: keys.credentials }),
  })
  const submit = (event: FormEvent) => {
    event.preventDefault()
    save.mutate()
  }
  const isComplete = draft.hosts.trim() !== '' && draft.secret.trim() !== ''
  return (
    <form onSubmit={submit} className="flex flex-col gap-3 rounded-control border border-line p-3">
      <Field label="Kind">
        {(id) => (
          <Select
            id={id}
            value={draft.kind}
            onChange={({ target }) => set({ kind: target.value as CredentialKind })}
          >
            {KINDS.map(([kind, label]) => (
              <option key={kind} value={kind}>
                {label}
              </option>
            ))}
          </Select>
        )}
      </Field>
      <Field label={isApiKind(draft.kind) ? 'Hosts' : 'Host'} hint={hostHint(draft.kind)}>
        {(id) => (
          <Input
            id={id}
            value={draft.hosts}
            onChange={({ target }) => set({ hosts: target.value })}
          />
        )}
      </Field>
      <Carrier draft={draft} set={set} />
      <Field label="Value" hint="It is kept sealed and not shown again.">
        {(id) =>
          draft.kind === 'ssh' ? (
            <TextArea
              id={id}
              rows={5}
              value={draft.secret}
              onChange={({ target }) => set({ secret: target.value })}
            />
          ) : (
            <Input
              id={id}
              type="password"
              autoComplete="off"
              value={draft.secret}
              onChange={({ target }) => set({ secret: target.value })}
            />
          )
        }
      </Field>
      {isApiKind(draft.kind) ? <Reach draft={draft} set={set} environments={environments} /> : null}
      {save.error ? (
        <Failure what="It was not kept" why={describeError(save.error).message} />
      ) : null}
      <div className="flex gap-2">
        <Button type="submit" disabled={!isComplete || save.isPending}>
          Keep it
        </Button>
        <Button
          onClick={() => {
            forget()
            onDone()
          }}
        >
          Cancel
        </Button>
      </div>
    </form>
  )
}

interface PartProps {
  draft: Draft
  set: (change: Partial<Draft>) => void
}

/** What carries the value, where that is not the kind itself. */
function Carrier({ draft, set }: PartProps) {
  const { kind } = draft
  if (kind === 'bearer') return null
  if (kind !== 'header' && kind !== 'query') {
    return (
      <Field label="Name of the user">
        {(id) => (
          <Input
            id={id}
            value={draft.username}
            onChange={({ target }) => set({ username: target.value })}
          />
        )}
      </Field>
    )
  }
  return (
    <>
      <Field label={kind === 'header' ? 'Name of the header' : 'Name of the parameter'}>
        {(id) => (
          <Input
            id={id}
            value={draft.carrier}
            placeholder={kind === 'header' ? 'X-Api-Key' : 'key'}
            onChange={({ target }) => set({ carrier: target.value })}
          />
        )}
      </Field>
      {kind === 'header' ? (
        <Field
          label="Before the value"
          hint="Such as Token; a space follows it. Nothing when empty."
        >
          {(id) => (
            <Input
              id={id}
              value={draft.prefix}
              maxLength={64}
              onChange={({ target }) => set({ prefix: target.value })}
            />
          )}
        </Field>
      ) : null}
    </>
  )
}

function Reach({ draft, set, environments }: PartProps & { environments: Environment[] }) {
  return (
    <>
      <Field label="Only below these paths" hint="Such as /v1/, apart by spaces. All when empty.">
        {(id) => (
          <Input
            id={id}
            value={draft.paths}
            onChange={({ target }) => set({ paths: target.value })}
          />
        )}
      </Field>
      <Field
        label="Variable inside"
        hint="Such as GH_TOKEN: set to a placeholder that the gateway replaces. None when empty."
      >
        {(id) => (
          <Input
            id={id}
            value={draft.variable}
            onChange={({ target }) => set({ variable: target.value })}
          />
        )}
      </Field>
      <Field label="For sessions of">
        {(id) => (
          <Select
            id={id}
            value={draft.environmentId}
            onChange={({ target }) => set({ environmentId: target.value })}
          >
            <option value="">every environment</option>
            {environments.map((environment) => (
              <option key={environment.id} value={environment.id}>
                {environment.name}
              </option>
            ))}
          </Select>
        )}
      </Field>
      <Checkbox checked={draft.allowHttp} onChange={(allowHttp) => set({ allowHttp })}>
        Also to http:// addresses, where everybody on the way can read it
      </Checkbox>
    </>
  )
}

function hostHint(kind: CredentialKind): string {
  return isApiKind(kind)
    ? 'Such as api.example.com or *.example.com, apart by spaces. Sessions may reach them.'
    : 'Such as github.com.'
}

const words = (text: string) => text.split(/[\s,]+/).filter((word) => word !== '')

function toCredential(draft: Draft): NewCredential {
  const { kind, username, environmentId, variable, carrier, prefix, allowHttp } = draft
  const [host = '', ...otherHosts] = words(draft.hosts)
  const secret = kind === 'ssh' ? `${draft.secret.trim()}\n` : draft.secret.trim()
  if (!isApiKind(kind)) return { host, kind, username, secret }
  const binding: NewCredential['binding'] = {
    ...{ otherHosts, paths: words(draft.paths), environmentId: environmentId || null },
    ...{ variable: variable.trim() || null, allowHttp },
    ...(kind === 'header' ? { header: carrier.trim(), prefix: prefix.trim() } : {}),
    ...(kind === 'query' ? { parameter: carrier.trim() } : {}),
  }
  return { host, kind, username: kind === 'basic' ? username : '', secret, binding }
}
