// Comments on lines of the changes: where each belongs, and the one message that they become together.
import { plainText } from '../ui/plain-text.ts'

/** Lines of the file as it is now, or of what was there before. */
export type CommentSide = 'additions' | 'deletions'

export interface CommentPlace {
  /** Which of the additional repositories; null for the main one. */
  repository: string | null
  path: string
  side: CommentSide
  /** First and last line, from 1; both 0 for the whole file. */
  from: number
  to: number
}

export interface ReviewComment extends CommentPlace {
  id: string
  /** The commit whose changes it is about: its line numbers are those. */
  commit: string
  text: string
}

/** `range` as the pointer made it: in either direction, and perhaps over both sides, of which the last counts. */
export function placeOf(
  at: Pick<CommentPlace, 'repository' | 'path'>,
  range: { start: number; side?: CommentSide; end: number; endSide?: CommentSide },
): CommentPlace {
  const side = range.endSide ?? range.side ?? 'additions'
  const start = (range.side ?? side) === side ? range.start : range.end
  const { repository, path } = at
  return {
    ...{ repository, path, side },
    from: Math.min(start, range.end),
    to: Math.max(start, range.end),
  }
}

/** "src/cart.js:9-12"; lines that are gone are said to be. */
export function describePlace({ repository, path, side, from, to }: CommentPlace): string {
  const lines = from === 0 ? '' : from === to ? `:${from}` : `:${from}-${to}`
  const gone = side === 'deletions' && from > 0 ? ' (removed)' : ''
  const where = repository === null ? '' : `${repository}, `
  return plainText(`${where}${path}${lines}${gone}`)
}

/** What is sent: the words of the composer, and below them each comment with its place. */
export function withComments(text: string, comments: readonly ReviewComment[]): string {
  if (comments.length === 0) return text
  const commits = [...new Set(comments.map(({ commit }) => commit.slice(0, 10)))]
  const list = comments.map((one) => `- ${describePlace(one)}: ${indented(one.text.trim())}`)
  const head = `Comments on the changes (lines as of ${commits.join(', ')}):`
  return [text.trim(), `${head}\n${list.join('\n')}`].filter(Boolean).join('\n\n')
}

function indented(text: string): string {
  return text.replaceAll('\n', '\n  ')
}

/** What a tab had kept; anything else than comments counts as none. */
export function readComments(stored: string): ReviewComment[] {
  try {
    const value: unknown = JSON.parse(stored || '[]')
    return Array.isArray(value) ? value.filter(isComment) : []
  } catch {
    return []
  }
}

function isComment(value: unknown): value is ReviewComment {
  const { id, commit, text, path, repository, side, from, to } = Object(value)
  const texts = [id, commit, text, path, side]
  return (
    texts.every((one) => typeof one === 'string') &&
    [from, to].every(Number.isInteger) &&
    (repository === null || typeof repository === 'string')
  )
}
