// Where the work starts from: a repository by its address, or the branch of another session.
import type { SessionSummary } from '../../../src/protocol/api.ts'
import { classes } from '../ui/classes.ts'
import { Field, Input, Select } from '../ui/field.tsx'
import type { TaskFields } from './new-task-draft.ts'

const KINDS = [
  ['remote', 'Repository'],
  ['session', 'Branch of a session'],
] as const

export function SourceField({
  fields,
  sessions,
  onChange,
}: {
  fields: TaskFields
  sessions: readonly SessionSummary[]
  onChange: (change: Partial<TaskFields>) => void
}) {
  return (
    <fieldset className="flex min-w-0 flex-col gap-2">
      <legend className="sr-only">Where to work</legend>
      {sessions.length > 0 ? (
        <div className="flex gap-4">
          {KINDS.map(([kind, word]) => (
            <label
              key={kind}
              className={classes(
                'hit flex items-center gap-1.5 text-sm',
                fields.sourceKind !== kind && 'text-muted',
              )}
            >
              <input
                type="radio"
                name="source"
                checked={fields.sourceKind === kind}
                onChange={() => onChange({ sourceKind: kind })}
                className="accent-ink"
              />
              {word}
            </label>
          ))}
        </div>
      ) : null}
      {fields.sourceKind === 'remote' ? (
        <RemoteFields fields={fields} onChange={onChange} />
      ) : (
        <SessionFields fields={fields} sessions={sessions} onChange={onChange} />
      )}
      <datalist id="recent-repositories">
        {recentUrls(sessions).map((url) => (
          <option key={url} value={url} />
        ))}
      </datalist>
    </fieldset>
  )
}

type Props = Parameters<typeof SourceField>[0]

function RemoteFields({ fields, onChange }: Omit<Props, 'sessions'>) {
  return (
    <div className="grid gap-3 sm:grid-cols-[1fr_11rem]">
      <Field label="Repository address">
        {(id) => (
          <Input
            id={id}
            data-repository
            value={fields.url}
            onChange={(event) => onChange({ url: event.target.value })}
            placeholder="https://github.com/you/project"
            list="recent-repositories"
            inputMode="url"
            autoCapitalize="off"
            autoCorrect="off"
            spellCheck={false}
          />
        )}
      </Field>
      <Field label="Start from">
        {(id) => (
          <Input
            id={id}
            value={fields.baseBranch}
            onChange={(event) => onChange({ baseBranch: event.target.value })}
            placeholder="default branch"
            autoCapitalize="off"
            spellCheck={false}
          />
        )}
      </Field>
    </div>
  )
}

function SessionFields({ fields, sessions, onChange }: Props) {
  return (
    <Field label="Session" hint="The new session starts where that branch is now.">
      {(id) => (
        <Select
          id={id}
          value={fields.sessionId}
          onChange={(event) => onChange({ sessionId: event.target.value })}
        >
          <option value="">Choose a session</option>
          {sessions.map((session) => (
            <option key={session.id} value={session.id}>
              {session.repository.name} · {session.title}
            </option>
          ))}
        </Select>
      )}
    </Field>
  )
}

export function recentUrls(sessions: readonly SessionSummary[]): string[] {
  const newest = sessions.toSorted((a, b) => b.createdAt.localeCompare(a.createdAt))
  const urls = newest.flatMap(({ repository, additional }) =>
    [repository, ...additional].flatMap(({ source }) =>
      source.kind === 'remote' ? [source.url] : [],
    ),
  )
  return [...new Set(urls)].slice(0, 12)
}
