// The composer of a new task; on the first visit with one sentence and three examples.
import { useNavigate, useSearch } from '@tanstack/react-router'
import { useEffect, useRef, useState } from 'react'
import type { EnvironmentDefaults } from '../../../src/protocol/api.ts'
import { describeError, isUnanswered, useApi } from '../app/api.ts'
import {
  useEnvironmentDefaults,
  useEnvironments,
  useInstallation,
  useRequest,
  useSessions,
} from '../app/queries.ts'
import { Button } from '../ui/button.tsx'
import { Failure } from '../ui/failure.tsx'
import { Glyph } from '../ui/glyph.tsx'
import { AdditionalRepositories } from './additional-fields.tsx'
import { EXAMPLES } from './examples.ts'
import { missingIn, type TaskFields, toNewSession } from './new-task-draft.ts'
import { namedEnvironment, prefilled } from './prefill.ts'
import { PromptBox } from './prompt-box.tsx'
import { recentUrls, SourceField } from './source-field.tsx'
import { TaskSettings } from './task-settings.tsx'
import { forgetUnsent, noteReturned, takeArrived, turnIdFor } from './unsent-turn.ts'
import { useBegun } from './use-begun.ts'
import { useDraft } from './use-draft.ts'
import { useTaskFields } from './use-task-fields.ts'

/** Where a task is written that is no session yet. */
const PLACE = 'new'

export function NewTask() {
  const sessions = useSessions().data ?? []
  const environments = useEnvironments().data ?? []
  const installation = useInstallation().data
  const defaults = useEnvironmentDefaults().data
  const task = useNewTask(recentUrls(sessions)[0] ?? '')
  const { fields, prompt, change, setPrompt, problem, request, send } = task
  const startsWith = environments.find(({ id }) => id === defaultFor(fields, defaults))
  const error = request.error ? describeError(request.error) : null
  return (
    <div className="h-full overflow-y-auto">
      <div className="mx-auto flex max-w-[720px] flex-col gap-5 px-4 pt-6 pb-10 md:pt-[9vh] sm:px-6">
        <header>
          <h1 className="text-2xl font-semibold tracking-tight">What should be done?</h1>
          <p className="mt-2 text-muted">
            An agent works on it in a sandbox of its own, and a branch with the change comes back.
          </p>
        </header>
        <SourceField fields={fields} sessions={sessions} onChange={change} />
        <AdditionalRepositories fields={fields} onChange={change} />
        <PromptBox
          ref={task.box}
          value={prompt}
          onChange={setPrompt}
          onSend={send}
          label="Task"
          placeholder="Describe the task. Say how one can see that it is done."
          rows={4}
        >
          <span className="ml-auto hidden text-xs text-muted sm:inline">⌘↵</span>
          <Button tone="primary" onClick={send} busy={request.isPending} className="max-sm:w-full">
            Start task
          </Button>
        </PromptBox>
        {problem ? (
          <p role="alert" className="-mt-2 text-sm text-bad">
            {problem}
          </p>
        ) : null}
        {error ? (
          <Failure what="The task was not started" why={error.message} reason={error.reason}>
            <Button onClick={send}>Try again</Button>
          </Failure>
        ) : null}
        <TaskSettings
          fields={fields}
          environments={environments}
          startsWith={startsWith}
          onChange={change}
        />
        {sessions.length === 0 ? <Examples onChoose={task.choose} /> : null}
        <ModelNote model={installation?.model} />
      </div>
    </div>
  )
}

/** Only a guess for what is shown: the server knows which addresses are the same repository. */
function defaultFor({ sourceKind, url }: TaskFields, defaults: EnvironmentDefaults | undefined) {
  const plain = (text: string) => text.trim().replace(/\/+$|\.git$/g, '')
  const own =
    sourceKind === 'remote'
      ? defaults?.repositories.find(({ repository }) => plain(repository) === plain(url))
      : undefined
  return own?.environment ?? defaults?.environment
}

/** Said where a task begins, since without a model nothing else will work. */
function ModelNote({ model }: { model: 'live' | 'scripted' | 'missing' | undefined }) {
  if (model === 'scripted')
    return (
      <p className="text-xs text-muted">
        No model key is set, so a scripted model answers. Start Errand with ANTHROPIC_API_KEY for
        the real one.
      </p>
    )
  if (model === 'missing')
    return (
      <p role="status" className="text-sm text-warn">
        No model key is set, so the agent cannot answer. Start Errand with ANTHROPIC_API_KEY.
      </p>
    )
  return null
}

function useNewTask(recentUrl: string) {
  const api = useApi()
  const navigate = useNavigate()
  const box = useRef<HTMLTextAreaElement>(null)
  const [prompt, setPrompt] = useDraft(PLACE)
  const { fields, change: keep, forget } = useTaskFields(recentUrl)
  const [problem, setProblem] = useState<string | null>(null)
  const request = useRequest((body: Parameters<typeof api.createSession>[0]) =>
    api.createSession(body),
  )
  const change = (changed: Partial<TaskFields>) => {
    setProblem(null)
    keep(changed)
  }
  usePrefill({ change, setPrompt, setProblem, environment: fields.environment })
  const toSession = ({ id }: { id: string }) =>
    navigate({ to: '/sessions/$sessionId', params: { sessionId: id } })
  const clear = (written: string) => {
    setPrompt((now) => (now === written ? '' : now))
    forget()
  }
  const send = () => {
    const missing = missingIn(fields, prompt)
    setProblem(missing)
    if (missing) focusMissing(fields, box.current)
    if (missing || request.isPending) return
    const task = toNewSession(fields, prompt)
    const turnId = turnIdFor(PLACE, JSON.stringify(task), { written: prompt, attached: [] })
    const sent = request.mutateAsync({ ...task, turnId }, { onSuccess: toSession })
    // Also once this is not shown any more.
    void sent.then(
      () => {
        forgetUnsent(PLACE, turnId)
        clear(prompt)
      },
      (error) => (isUnanswered(error) ? noteReturned(PLACE, turnId) : forgetUnsent(PLACE, turnId)),
    )
  }
  useBegun(PLACE, (session) => {
    const { turnId, written } = takeArrived(PLACE, () => true) ?? {}
    if (turnId === request.variables?.turnId) request.reset()
    // Who has gone on writing since stays.
    if (written !== prompt) return
    clear(prompt)
    void toSession(session)
  })
  const choose = (text: string) => {
    setPrompt(text)
    const repository = document.querySelector<HTMLInputElement>('[data-repository]')
    if (repository && !repository.value) repository.focus()
    else box.current?.focus()
  }
  return { box, fields, prompt, change, setPrompt, problem, request, send, choose }
}

/** What the address of the page says goes into the fields once, and then stands there alone. */
function usePrefill({
  change,
  setPrompt,
  setProblem,
  environment,
}: {
  change: (changed: Partial<TaskFields>) => void
  setPrompt: (prompt: string) => void
  setProblem: (problem: string) => void
  environment: string
}) {
  const navigate = useNavigate()
  const environments = useEnvironments().data
  const { prompt, repositories, environment: asked } = useSearch({ strict: false })
  // biome-ignore lint/correctness/useExhaustiveDependencies: once for each address.
  useEffect(() => {
    if (!prompt && !repositories && !asked) return
    change(prefilled({ repositories, environment: asked }))
    if (prompt) setPrompt(prompt)
    void navigate({ to: '/', search: {}, replace: true })
  }, [prompt, repositories, asked])
  // biome-ignore lint/correctness/useExhaustiveDependencies: what was asked for, as soon as it can be looked up.
  useEffect(() => {
    if (!environments || !environment) return
    const name = namedEnvironment(environment, environments)
    if (name === environment) return
    change({ environment: name ?? '' })
    if (name === undefined) setProblem(`There is no environment ${environment} to choose.`)
  }, [environments, environment])
}

/** What is missing is written next: the address of the repository, else the task. */
function focusMissing({ sourceKind, url }: TaskFields, box: HTMLElement | null) {
  const address = document.querySelector<HTMLElement>('[data-repository]')
  if (sourceKind === 'remote' && !url.trim()) address?.focus()
  else if (sourceKind === 'remote') box?.focus()
}

function Examples({ onChoose }: { onChoose: (prompt: string) => void }) {
  return (
    <section aria-label="Examples" className="flex flex-col gap-1">
      <h2 className="text-xs text-muted">Tasks to begin with</h2>
      <ul>
        {EXAMPLES.map(({ title, prompt }) => (
          <li key={title}>
            <button
              type="button"
              onClick={() => onChoose(prompt)}
              className="-mx-2 flex w-[calc(100%+1rem)] gap-2 rounded-control px-2 py-2 text-left hover:bg-surface"
            >
              <Glyph name="chevron" className="mt-0.5 text-muted" />
              <span>
                <span className="block font-medium">{title}</span>
                <span className="block text-sm text-muted">{prompt}</span>
              </span>
            </button>
          </li>
        ))}
      </ul>
    </section>
  )
}
