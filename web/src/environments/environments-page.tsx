// All environments of somebody, which of them a new session gets, and for which repositories another one.
import { Link, useLocation, useNavigate } from '@tanstack/react-router'
import { useEffect } from 'react'
import type { Environment } from '../../../src/protocol/environment.ts'
import { describeNetwork } from '../../../src/protocol/environment.ts'
import { describeError, useApi } from '../app/api.ts'
import { useEnvironmentChange, useEnvironmentDefaults, useEnvironments } from '../app/queries.ts'
import { CredentialsSection } from '../credentials/credentials-section.tsx'
import { InstallationSection } from '../network/installation-section.tsx'
import { Button } from '../ui/button.tsx'
import { Failure } from '../ui/failure.tsx'
import { plural } from '../ui/format.ts'
import { Glyph } from '../ui/glyph.tsx'
import { Menu, type MenuAction } from '../ui/menu.tsx'
import { Skeleton } from '../ui/skeleton.tsx'
import { RepositoryDefaults } from './repository-defaults.tsx'

export function EnvironmentsPage() {
  const environments = useEnvironments()
  const defaults = useEnvironmentDefaults().data
  const list = environments.data ?? []
  useGoToHash(environments.data !== undefined && defaults !== undefined)
  return (
    <div className="h-full overflow-y-auto">
      <div className="mx-auto flex max-w-[720px] flex-col gap-6 px-4 pt-6 pb-10 sm:px-6">
        <header className="flex flex-wrap items-end gap-3">
          <div className="min-w-0 flex-1 basis-72">
            <h1 className="text-xl font-semibold tracking-tight">Environments</h1>
            <p className="mt-1 text-muted">
              What a session wakes up in: tools, network, variables and limits.
            </p>
          </div>
          <Link
            to="/environments/new"
            className="hit inline-flex items-center gap-2 rounded-control bg-ink px-3 text-sm font-medium text-on-ink hover:opacity-90"
          >
            <Glyph name="plus" /> New environment
          </Link>
        </header>
        {environments.isPending ? <Skeleton className="h-16" /> : null}
        {environments.error ? (
          <Failure
            what="The environments could not be read"
            why={describeError(environments.error).message}
          >
            <Button onClick={() => void environments.refetch()}>Try again</Button>
          </Failure>
        ) : null}
        <ul className="flex flex-col divide-y divide-line border-y border-line">
          {list.map((environment) => (
            <li key={environment.id}>
              <Row
                environment={environment}
                isDefault={environment.id === defaults?.environment}
                isLast={list.length === 1}
              />
            </li>
          ))}
        </ul>
        {defaults ? <RepositoryDefaults environments={list} defaults={defaults} /> : null}
        <CredentialsSection environments={list} />
        <InstallationSection />
      </div>
    </div>
  )
}

interface RowProps {
  environment: Environment
  isDefault: boolean
  /** One is always needed. */
  isLast: boolean
}

/** To the part that the address names, once what stands above it is there and moves nothing any more. */
function useGoToHash(isReady: boolean): void {
  const hash = useLocation({ select: (location) => location.hash })
  useEffect(() => {
    if (isReady && hash) document.getElementById(hash)?.scrollIntoView({ block: 'start' })
  }, [isReady, hash])
}

function Row({ environment, isDefault, isLast }: RowProps) {
  const { id, name, network, variables } = environment
  const { actions, error } = useActions({ environment, isDefault, isLast })
  const count = Object.keys(variables).length
  const parts = [
    `reaches ${describeNetwork(network)}`,
    ...(count > 0 ? [plural(count, 'variable')] : []),
    ...(environment.setup ? ['setup script'] : []),
  ]
  return (
    <>
      <div className="flex items-center gap-2 py-2">
        <Link
          to="/environments/$environmentId"
          params={{ environmentId: id }}
          className="-mx-2 flex min-w-0 flex-1 flex-col rounded-control px-2 py-1.5 hover:bg-surface"
        >
          <span className="flex min-w-0 items-center gap-2">
            <span className="truncate font-medium">{name}</span>
            {isDefault ? (
              <span className="shrink-0 rounded-full border border-line px-2 text-xs text-muted">
                default
              </span>
            ) : null}
          </span>
          <span className="line-clamp-2 text-sm text-muted [overflow-wrap:anywhere]">
            {parts.join(' · ')}
          </span>
        </Link>
        <Menu label={`More for ${name}`} trigger={<Glyph name="more" />} actions={actions} />
      </div>
      {error ? <Failure what="It was not done" why={describeError(error).message} /> : null}
    </>
  )
}

function useActions({ environment: { id }, isDefault, isLast }: RowProps) {
  const api = useApi()
  const navigate = useNavigate()
  const duplicate = useEnvironmentChange(() => api.duplicateEnvironment(id))
  const archive = useEnvironmentChange(() => api.archiveEnvironment(id))
  const choose = useEnvironmentChange(() =>
    api.setEnvironmentDefault({ repository: null, environment: id }),
  )
  const edit = (environmentId: string) =>
    void navigate({ to: '/environments/$environmentId', params: { environmentId } })
  const actions: MenuAction[] = [
    { label: 'Edit', onSelect: () => edit(id) },
    {
      label: 'Duplicate',
      onSelect: () => duplicate.mutate(undefined, { onSuccess: (copy) => edit(copy.id) }),
    },
    ...(isDefault ? [] : [{ label: 'Make it the default', onSelect: () => choose.mutate() }]),
    ...(isLast ? [] : [{ label: 'Archive', onSelect: () => archive.mutate() }]),
  ]
  return { actions, error: duplicate.error ?? archive.error ?? choose.error }
}
