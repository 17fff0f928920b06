// Which repository the changes are shown of, where a session has several that it may change.
import type { Repository, SessionState } from '../../../src/protocol/session.ts'
import { classes } from '../ui/classes.ts'
import { Counts } from '../ui/counts.tsx'
import { plural } from '../ui/format.ts'
import { plainText } from '../ui/plain-text.ts'

export interface ChangedPlace
  extends Pick<Repository, 'name' | 'branch' | 'source' | 'url' | 'baseBranch'> {
  /** Which of the additional repositories; undefined for the main one. */
  repository: string | undefined
  changes: SessionState['changes']
  outward: SessionState['outward']
}

/** The main one first, and those that are not only read. */
export function placesOf({
  repository,
  changes,
  outward,
  additional,
}: SessionState): [ChangedPlace, ...ChangedPlace[]] {
  const { name, branch, source, url, baseBranch } = repository
  const others = additional.filter(({ access }) => access === 'write')
  return [
    { repository: undefined, name, branch, source, url, baseBranch, changes, outward },
    ...others.map((one) => ({ ...one, repository: one.name })),
  ]
}

interface Props {
  places: readonly ChangedPlace[]
  shown: ChangedPlace
  onChoose: (repository: string | undefined) => void
}

export function PlaceTabs({ places, shown, onChoose }: Props) {
  return (
    <nav aria-label="Repositories" className="flex gap-1 overflow-x-auto border-b border-line px-2">
      {places.map((place) => {
        const isShown = place.name === shown.name
        return (
          <button
            key={place.name}
            type="button"
            aria-current={isShown ? 'true' : undefined}
            onClick={() => onChoose(place.repository)}
            className={classes(
              'hit flex items-center gap-2 border-b-2 px-2 text-sm whitespace-nowrap',
              isShown ? 'border-ink font-medium' : 'border-transparent text-muted hover:text-text',
            )}
          >
            {plainText(place.name)}
            {place.changes ? (
              <Counts
                className="text-xs"
                insertions={place.changes.insertions}
                deletions={place.changes.deletions}
                none={plural(place.changes.filesChanged, 'file')}
              />
            ) : null}
          </button>
        )
      })}
    </nav>
  )
}
