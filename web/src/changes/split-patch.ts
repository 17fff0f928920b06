// Takes a patch of several files apart. A line of content never begins with "diff --git": it has a sign before it.

export interface FilePatch {
  path: string
  patch: string
  lines: number
  binary: boolean
}

export function splitPatch(patch: string): FilePatch[] {
  return patch
    .split(/^(?=diff --git )/m)
    .filter((part) => part.startsWith('diff --git '))
    .map((part) => ({
      path: pathOf(part),
      patch: part,
      lines: part.split('\n').length,
      binary: /^(?:Binary files |GIT binary patch)/m.test(part),
    }))
}

function pathOf(part: string): string {
  const named = /^\+\+\+ (?:b\/)?(.+)$/m.exec(part)?.[1]?.trim()
  if (named && named !== '/dev/null') return unquoted(named)
  const removed = /^--- (?:a\/)?(.+)$/m.exec(part)?.[1]?.trim()
  if (removed && removed !== '/dev/null') return unquoted(removed)
  const renamed = /^rename to (.+)$/m.exec(part)?.[1]
  if (renamed) return unquoted(renamed)
  return unquoted(/^diff --git a\/.* "?b\/(.+?)"?$/m.exec(part)?.[1] ?? '')
}

/** git quotes names with unusual bytes; the escapes are left as they are, only the quotes go. */
function unquoted(name: string): string {
  return name.replace(/^"(?:[ab]\/)?|"$/g, '')
}
