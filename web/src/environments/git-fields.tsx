// What an environment says about git: names of branches, who commits are by, whether a branch may be rewritten.
import { Checkbox, Field, Input } from '../ui/field.tsx'
import type { FormProps } from './environment-form.tsx'

export function GitFields({ draft, problems, onChange }: FormProps) {
  return (
    <div className="flex flex-col gap-3">
      <Field
        label="Names of branches"
        hint="{slug} stands for the task, {id} for a random word, {user} for you, {date} for the day. A name that is taken gets a number."
        problem={problems.branchTemplate}
      >
        {(id) => (
          <Input
            id={id}
            value={draft.branchTemplate}
            maxLength={100}
            onChange={(event) => onChange({ branchTemplate: event.target.value })}
            className="code-text"
          />
        )}
      </Field>
      <div className="grid gap-4 sm:grid-cols-2">
        <Field label="Commits are by" hint="Errand when empty.">
          {(id) => (
            <Input
              id={id}
              value={draft.authorName}
              placeholder="Ann Example"
              maxLength={100}
              onChange={(event) => onChange({ authorName: event.target.value })}
            />
          )}
        </Field>
        <Field label="With the address" problem={problems.authorEmail}>
          {(id) => (
            <Input
              id={id}
              value={draft.authorEmail}
              placeholder="ann@example.com"
              maxLength={200}
              onChange={(event) => onChange({ authorEmail: event.target.value })}
            />
          )}
        </Field>
      </div>
      <Checkbox checked={draft.rewrite} onChange={(rewrite) => onChange({ rewrite })}>
        A session may replace commits of its own branch (push --force)
      </Checkbox>
    </div>
  )
}
