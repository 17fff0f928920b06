// The branch of a session in one of its repositories, and how to get it.

import { requestLink } from '../../../src/protocol/request-link.ts'
import type { Repository, SessionState } from '../../../src/protocol/session.ts'
import { CopyButton } from '../ui/copy-button.tsx'
import { Glyph } from '../ui/glyph.tsx'
import { plainText } from '../ui/plain-text.ts'

export function BranchBlock({
  repository,
  outward,
}: {
  repository: Pick<Repository, 'branch' | 'source' | 'url' | 'baseBranch'>
  outward: SessionState['outward']
}) {
  const { branch, source } = repository
  const fetchLine = `git fetch origin ${branch} && git switch ${branch}`
  const outside = outward.state === 'forwarded'
  const request = outside ? requestLink(repository) : null
  return (
    <div className="flex flex-col gap-1">
      <p className="flex items-center gap-1.5">
        <Glyph name="branch" className="text-muted" />
        <span className="code-text min-w-0 [overflow-wrap:anywhere]">{branch}</span>
        <CopyButton text={branch} label="Copy branch name" />
      </p>
      {request ? (
        <a
          href={request.url}
          target="_blank"
          rel="noopener noreferrer"
          className="hit my-1 inline-flex items-center gap-2 self-start rounded-control bg-ink px-3 text-sm font-medium text-on-ink hover:opacity-90"
        >
          {request.word}
          <span className="sr-only">, opens at {new URL(request.url).host}</span>
        </a>
      ) : null}
      {outside ? (
        <>
          <p className="text-xs text-muted">To have it in your clone:</p>
          <p className="flex items-start gap-1">
            <code className="code-text min-w-0 flex-1 rounded-control bg-surface px-2.5 py-2 [overflow-wrap:anywhere]">
              {fetchLine}
            </code>
            <CopyButton text={fetchLine} label="Copy the command" />
          </p>
        </>
      ) : (
        <p className="text-sm text-muted">{whereItIs(outward, source.kind)}</p>
      )}
    </div>
  )
}

function whereItIs(outward: SessionState['outward'], source: string): string {
  const why = outward.message ? ` ${plainText(outward.message)}` : ''
  switch (outward.state) {
    case 'kept':
      return `The commits are safe here and not yet at the remote; they are sent again by themselves.${why}`
    case 'refused':
      return `The remote refused the branch; the commits are safe here.${why}`
    case 'none':
    case 'forwarded':
      return source === 'upload'
        ? 'The repository came from a disk: “errand run” fetches the branch back into it.'
        : 'The branch is kept here; this repository has no remote to send it to.'
  }
}
