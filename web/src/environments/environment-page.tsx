// One environment: made or changed. Sessions keep what they started with, which is said beside the button.
import { Link, useNavigate, useParams } from '@tanstack/react-router'
import { useEffect, useRef, useState } from 'react'
import { describeError, useApi } from '../app/api.ts'
import { useEnvironmentChange, useEnvironments } from '../app/queries.ts'
import { useKeptFields } from '../composer/use-kept-fields.ts'
import { Button } from '../ui/button.tsx'
import { Failure } from '../ui/failure.tsx'
import { Glyph } from '../ui/glyph.tsx'
import { Skeleton } from '../ui/skeleton.tsx'
import {
  EMPTY_DRAFT,
  type EnvironmentDraft,
  problemsIn,
  toDraft,
  toFields,
} from './environment-draft.ts'
import { EnvironmentForm } from './environment-form.tsx'

export function NewEnvironmentPage() {
  const api = useApi()
  const create = useEnvironmentChange((draft: EnvironmentDraft) =>
    api.createEnvironment(toFields(draft)),
  )
  return (
    <Editor
      title="New environment"
      environmentId={null}
      first={EMPTY_DRAFT}
      save={create}
      word="Make it"
    />
  )
}

export function EnvironmentPage() {
  const { environmentId } = useParams({ from: '/environments/$environmentId' })
  const environments = useEnvironments({ archived: true })
  const environment = environments.data?.find(({ id }) => id === environmentId)
  const api = useApi()
  const change = useEnvironmentChange((draft: EnvironmentDraft) =>
    api.patchEnvironment(environmentId, toFields(draft)),
  )
  // One that was just made is in the next answer.
  if (environments.isPending || (!environment && environments.isFetching))
    return <Skeleton className="m-6 h-40" />
  if (!environment)
    return (
      <div className="mx-auto max-w-[720px] p-6">
        <Failure
          what="This environment cannot be shown"
          why={environments.error ? describeError(environments.error).message : 'There is none.'}
        >
          <Button onClick={() => void environments.refetch()}>Try again</Button>
        </Failure>
      </div>
    )
  if (environment.archivedAt)
    return (
      <div className="mx-auto max-w-[720px] p-6">
        <BackLink />
        <p className="mt-4">{environment.name} is archived: nothing new starts with it.</p>
      </div>
    )
  return (
    <Editor
      key={environment.id}
      title={environment.name}
      environmentId={environment.id}
      first={toDraft(environment)}
      save={change}
      word="Save"
    />
  )
}

function Editor({
  title,
  environmentId,
  first,
  save,
  word,
}: {
  title: string
  environmentId: string | null
  first: EnvironmentDraft
  save: ReturnType<typeof useEnvironmentChange<EnvironmentDraft, unknown>>
  word: string
}) {
  const navigate = useNavigate()
  const place = `environment:${environmentId ?? 'new'}`
  const { kept, change, forget } = useKeptFields<EnvironmentDraft>(place, MAY_BE_SECRET)
  const draft = { ...first, ...kept }
  const isChanged = Object.keys(kept).length > 0
  const [asked, setAsked] = useState(0)
  const form = useFirstProblem(asked)
  const problems = asked > 0 ? problemsIn(draft) : {}
  const error = save.error ? describeError(save.error) : null
  const send = (event: React.FormEvent) => {
    event.preventDefault()
    setAsked((times) => times + 1)
    if (Object.keys(problemsIn(draft)).length > 0) return
    const saved = save.mutateAsync(draft, {
      onSuccess: () => void navigate({ to: '/environments' }),
    })
    // Also once this is not shown any more.
    void saved.then(forget, () => undefined)
  }
  return (
    <div className="h-full overflow-y-auto">
      <form
        ref={form}
        onSubmit={send}
        noValidate
        className="mx-auto flex max-w-[720px] flex-col gap-6 px-4 pt-4 pb-10 sm:px-6"
      >
        <header>
          <BackLink />
          <h1 className="mt-2 text-xl font-semibold tracking-tight [overflow-wrap:anywhere]">
            {title}
          </h1>
        </header>
        <EnvironmentForm
          draft={draft}
          problems={problems}
          environmentId={environmentId}
          onChange={change}
        />
        {error ? (
          <Failure what="It was not saved" why={error.message} reason={error.reason} />
        ) : null}
        <div className="flex flex-wrap items-center gap-3">
          <Button type="submit" tone="primary" busy={save.isPending}>
            {word}
          </Button>
          {isChanged ? (
            <Button
              onClick={() => {
                setAsked(0)
                forget()
              }}
            >
              {environmentId === null ? 'Start over' : 'Undo the changes'}
            </Button>
          ) : null}
          <p className="text-xs text-muted">Sessions keep what they started with.</p>
        </div>
      </form>
    </div>
  )
}

/** People are told not to write any there, and do. */
const MAY_BE_SECRET = ['variables'] as const

/** What is wrong may be out of sight of the button: the first such field is where the focus goes each time it is pressed. */
function useFirstProblem(asked: number) {
  const form = useRef<HTMLFormElement>(null)
  useEffect(() => {
    if (asked === 0) return
    const controls = form.current?.querySelectorAll<HTMLElement>('input, select, textarea') ?? []
    const isWrong = ({ parentElement }: HTMLElement) =>
      parentElement?.closest('div')?.querySelector(':scope > p[role="alert"]')
    Array.from(controls).find(isWrong)?.focus()
  }, [asked])
  return form
}

function BackLink() {
  return (
    <Link
      to="/environments"
      className="hit -ml-1.5 inline-flex items-center gap-1 rounded-control px-1.5 text-sm text-muted hover:text-text"
    >
      <Glyph name="back" /> Environments
    </Link>
  )
}
