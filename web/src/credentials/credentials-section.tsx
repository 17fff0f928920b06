// Credentials of somebody, without their values: which hosts each is for and how it goes along; add one, forget one.
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { type Credential, describeCredential } from '../../../src/protocol/credential.ts'
import type { Environment } from '../../../src/protocol/environment.ts'
import { describeError, useApi } from '../app/api.ts'
import { keys } from '../app/queries.ts'
import { Button } from '../ui/button.tsx'
import { Failure } from '../ui/failure.tsx'
import { Glyph } from '../ui/glyph.tsx'
import { Skeleton } from '../ui/skeleton.tsx'
import { CredentialForm, useCredentialDraft } from './credential-form.tsx'

export function CredentialsSection({ environments }: { environments: Environment[] }) {
  const api = useApi()
  const filledIn = useCredentialDraft()
  const [isOpen, setOpen] = useState(false)
  const isAdding = isOpen || Object.keys(filledIn.kept).length > 0
  const credentials = useQuery({
    queryKey: keys.credentials,
    queryFn: () => api.listCredentials(),
  })
  const list = credentials.data ?? []
  return (
    <section aria-labelledby="credentials" className="flex flex-col gap-3">
      <header className="flex flex-wrap items-end gap-3">
        <div className="min-w-0 flex-1 basis-72">
          <h2 id="credentials" className="scroll-mt-6 font-semibold">
            Credentials
          </h2>
          <p className="mt-1 text-sm text-muted">
            Tokens and keys for git hosts and APIs. They are added outside of sandboxes, so that an
            agent can use them and never reads them. A value is not shown again.
          </p>
        </div>
        {isAdding ? null : (
          <Button onClick={() => setOpen(true)}>
            <Glyph name="plus" /> Add a credential
          </Button>
        )}
      </header>
      {isAdding ? (
        <CredentialForm
          environments={environments}
          filledIn={filledIn}
          onDone={() => setOpen(false)}
        />
      ) : null}
      {credentials.isPending ? <Skeleton className="h-12" /> : null}
      {credentials.error ? (
        <Failure
          what="The credentials could not be read"
          why={describeError(credentials.error).message}
        />
      ) : null}
      {list.length > 0 ? (
        <ul className="flex flex-col divide-y divide-line border-y border-line">
          {list.map((credential) => (
            <li key={credential.id}>
              <Row credential={credential} environments={environments} />
            </li>
          ))}
        </ul>
      ) : null}
    </section>
  )
}

function Row({
  credential,
  environments,
}: {
  credential: Credential
  environments: Environment[]
}) {
  const api = useApi()
  const queries = useQueryClient()
  const [isAsked, setAsked] = useState(false)
  const remove = useMutation({
    mutationFn: () => api.removeCredential(credential.id),
    onSettled: () => queries.invalidateQueries({ queryKey: keys.credentials }),
  })
  const { host, binding } = credential
  const only = binding?.environmentId ?? null
  const environment = environments.find(({ id }) => id === only)
  const parts = [
    describeCredential(credential),
    ...(binding?.paths ?? []),
    ...(binding?.variable ? [`as ${binding.variable}`] : []),
    ...(binding?.allowHttp ? ['also over http://'] : []),
    ...(only === null ? [] : [`only in ${environment?.name ?? only}`]),
  ]
  return (
    <>
      <div className="flex flex-wrap items-center gap-2 py-2">
        <div className="min-w-0 flex-1 basis-56">
          <p className="font-medium [overflow-wrap:anywhere]">
            {[host, ...(binding?.otherHosts ?? [])].join(', ')}
          </p>
          <p className="text-sm text-muted [overflow-wrap:anywhere]">{parts.join(' · ')}</p>
        </div>
        {isAsked ? (
          <span className="flex gap-2">
            <Button onClick={() => remove.mutate()} disabled={remove.isPending}>
              Forget it
            </Button>
            <Button onClick={() => setAsked(false)}>Keep it</Button>
          </span>
        ) : (
          <Button onClick={() => setAsked(true)} aria-label={`Forget the credential for ${host}`}>
            Forget
          </Button>
        )}
      </div>
      {remove.error ? (
        <Failure what="It was not forgotten" why={describeError(remove.error).message} />
      ) : null}
    </>
  )
}
