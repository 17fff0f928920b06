// The files that changed; a press goes to a file's diff.
import type { Diff } from '../../../src/protocol/api.ts'
import { Counts } from '../ui/counts.tsx'
import { plainText } from '../ui/plain-text.ts'

type FileChange = Diff['files'][number]

const SIGNS: Record<FileChange['status'], { sign: string; color: string }> = {
  added: { sign: 'A', color: 'text-add' },
  modified: { sign: 'M', color: 'text-muted' },
  deleted: { sign: 'D', color: 'text-del' },
  renamed: { sign: 'R', color: 'text-muted' },
}

export function FileList({
  files,
  onChoose,
}: {
  files: readonly FileChange[]
  onChoose: (path: string) => void
}) {
  return (
    <section aria-label="Files">
      <h3 className="mb-1 text-xs text-muted">Files</h3>
      <ul>
        {files.map((file) => (
          <li key={file.path}>
            <button
              type="button"
              onClick={() => onChoose(file.path)}
              aria-label={`${plainText(file.path)}, ${file.status}, ${file.binary ? 'binary' : `+${file.insertions} −${file.deletions}`}`}
              className="hit -mx-2 flex w-[calc(100%+1rem)] items-center gap-2 rounded-control px-2 text-left hover:bg-surface"
            >
              <abbr
                title={file.status}
                className={`code-text w-3 no-underline ${SIGNS[file.status].color}`}
              >
                {SIGNS[file.status].sign}
              </abbr>
              <PathName path={file.path} oldPath={file.oldPath} />
              <span className="ml-auto text-xs">
                {file.binary ? (
                  <span className="text-muted">binary</span>
                ) : (
                  <Counts insertions={file.insertions} deletions={file.deletions} />
                )}
              </span>
            </button>
          </li>
        ))}
      </ul>
    </section>
  )
}

function PathName({ path, oldPath }: { path: string; oldPath: string | null }) {
  const at = path.lastIndexOf('/') + 1
  return (
    <span
      className="code-text flex min-w-0"
      title={oldPath ? `${plainText(oldPath)} → ${plainText(path)}` : plainText(path)}
    >
      <span className="truncate text-muted">{plainText(path.slice(0, at))}</span>
      <span className="shrink-0">{plainText(path.slice(at))}</span>
    </span>
  )
}
