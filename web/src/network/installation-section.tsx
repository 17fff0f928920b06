// What the owner of this installation allows and refuses in every session, and the most that each may move. Others read it.
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import type { InstallationNetwork } from '../../../src/protocol/installation-network.ts'
import { describeError, useApi } from '../app/api.ts'
import { keys, useInstallation } from '../app/queries.ts'
import { type KeptFields, useKeptFields } from '../composer/use-kept-fields.ts'
import { Button } from '../ui/button.tsx'
import { Failure } from '../ui/failure.tsx'
import { Field, Input, TextArea } from '../ui/field.tsx'
import { formatBytes } from '../ui/format.ts'
import { plainText } from '../ui/plain-text.ts'
import {
  type InstallationDraft,
  installationProblemsIn,
  toInstallationDraft,
  toInstallationPatch,
} from './installation-draft.ts'

export function InstallationSection() {
  const api = useApi()
  const [isOpen, setOpen] = useState(false)
  const changed = useKeptFields<InstallationDraft>('installation-network')
  const isChanging = isOpen || Object.keys(changed.kept).length > 0
  const isOwner = useInstallation().data?.user.role === 'owner'
  const network = useQuery({
    queryKey: keys.installationNetwork,
    queryFn: () => api.getInstallationNetwork(),
  })
  return (
    <section aria-labelledby="every-session" className="flex flex-col gap-3">
      <header className="flex flex-wrap items-end gap-3">
        <div className="min-w-0 flex-1 basis-72">
          <h2 id="every-session" className="font-semibold">
            Network of every session
          </h2>
          <p className="mt-1 text-sm text-muted">
            It holds beside each environment, for everybody. What is refused here wins over
            everything.
          </p>
        </div>
        {isOwner && network.data && !isChanging ? (
          <Button onClick={() => setOpen(true)}>Change it</Button>
        ) : null}
      </header>
      {network.error ? (
        <Failure what="It could not be read" why={describeError(network.error).message} />
      ) : null}
      {network.data && isChanging ? (
        <ListsForm
          network={network.data}
          changed={changed}
          onDone={() => {
            changed.forget()
            setOpen(false)
          }}
        />
      ) : null}
      {network.data && !isChanging ? <Lists network={network.data} /> : null}
    </section>
  )
}

function Lists({ network: { allow, deny, limits } }: { network: InstallationNetwork }) {
  const { connectionsPerSecond, bytesPerDay } = limits
  const asSaid = 'as its environment says'
  const rows: [string, string][] = [
    ['Refused', deny.join(', ') || 'nothing'],
    ['Allowed, but not at none', allow.join(', ') || 'nothing more'],
    [
      'New connections',
      connectionsPerSecond === null ? asSaid : `${connectionsPerSecond} a second at most`,
    ],
    ['Bytes', bytesPerDay === null ? asSaid : `${formatBytes(bytesPerDay)} a day at most`],
  ]
  return (
    <dl className="flex flex-col divide-y divide-line border-y border-line text-sm">
      {rows.map(([name, value]) => (
        <div key={name} className="flex flex-wrap gap-x-3 py-2">
          <dt className="basis-44 text-muted">{name}</dt>
          <dd className="min-w-0 flex-1 [overflow-wrap:anywhere]">{plainText(value)}</dd>
        </div>
      ))}
    </dl>
  )
}

function ListsForm({
  network,
  changed: { kept, change },
  onDone,
}: {
  network: InstallationNetwork
  changed: KeptFields<InstallationDraft>
  onDone: () => void
}) {
  const api = useApi()
  const queries = useQueryClient()
  const draft = { ...toInstallationDraft(network), ...kept }
  const [isAsked, setAsked] = useState(false)
  const save = useMutation({
    mutationFn: () => api.patchInstallationNetwork(toInstallationPatch(draft)),
    onSuccess: (saved) => {
      queries.setQueryData(keys.installationNetwork, saved)
      onDone()
    },
  })
  const problems = isAsked ? installationProblemsIn(draft) : {}
  const submit = (event: FormEvent) => {
    event.preventDefault()
    setAsked(true)
    if (Object.keys(installationProblemsIn(draft)).length === 0) save.mutate()
  }
  return (
    <form
      onSubmit={submit}
      noValidate
      className="flex flex-col gap-3 rounded-control border border-line p-3"
    >
      {LISTS.map(({ name, label, hint }) => (
        <Field key={name} label={label} hint={hint} problem={problems[name]}>
          {(id) => (
            <TextArea
              id={id}
              rows={3}
              value={draft[name]}
              onChange={({ target }) => change({ [name]: target.value })}
            />
          )}
        </Field>
      ))}
      <div className="grid gap-3 sm:grid-cols-2">
        {LIMITS.map(({ name, label }) => (
          <Field
            key={name}
            label={label}
            hint="As each environment says when empty."
            problem={problems[name]}
          >
            {(id) => (
              <Input
                id={id}
                inputMode="decimal"
                value={draft[name]}
                onChange={({ target }) => change({ [name]: target.value })}
              />
            )}
          </Field>
        ))}
      </div>
      <p className="text-xs text-muted">
        It holds within two seconds. What is open and no longer allowed is ended.
      </p>
      {save.error ? (
        <Failure what="It was not changed" why={describeError(save.error).message} />
      ) : null}
      <div className="flex gap-2">
        <Button type="submit" tone="primary" busy={save.isPending}>
          Set it for every session
        </Button>
        <Button onClick={onDone}>Leave it</Button>
      </div>
    </form>
  )
}

const LISTS = [
  {
    name: 'deny',
    label: 'Hosts that are refused',
    hint: 'One on each line; *.example.com stands for all below it. At every level.',
  },
  {
    name: 'allow',
    label: 'Hosts that are allowed',
    hint: 'At every level but none.',
  },
] as const

const LIMITS = [
  { name: 'connectionsPerSecond', label: 'New connections a second, at most' },
  { name: 'gibPerDay', label: 'GiB a day, at most' },
] as const
