// The commits of a session, newest first.
import type { Diff } from '../../../src/protocol/api.ts'
import { plainText } from '../ui/plain-text.ts'
import { Ago } from '../ui/time.tsx'

export function CommitList({ commits }: { commits: Diff['commits'] }) {
  if (commits.length === 0) return null
  return (
    <section aria-label="Commits">
      <h3 className="mb-1 text-xs text-muted">
        {commits.length === 1 ? 'Commit' : `${commits.length} commits`}
      </h3>
      <ul className="flex flex-col gap-0.5">
        {commits.map((commit) => (
          <li key={commit.id} className="flex items-baseline gap-2">
            <code className="code-text text-xs text-muted" title={commit.id}>
              {commit.id.slice(0, 8)}
            </code>
            <span className="min-w-0 flex-1 truncate" title={plainText(commit.subject)}>
              {plainText(commit.subject)}
            </span>
            <Ago at={commit.at} className="shrink-0 text-xs text-muted" />
          </li>
        ))}
      </ul>
    </section>
  )
}
