// The text of an agent or a command with the fields of its head that describe it, and no other. Claude Code takes what a plugin's
// command says of allowed tools for a permission, as it does not of the repository that it starts in; so that field must not
// pass, however it is written. Pure.
const DESCRIBES = new Set([
  ...['name', 'description', 'argument-hint', 'model', 'color', 'effort'],
  // Narrow what it may use.
  ...['tools', 'disallowedTools', 'disable-model-invocation'],
])
const HEAD = /^\uFEFF?---[^\S\n]*\r?\n((?:[\s\S]*?\n)?)---[^\S\n]*(?:\r?\n|$)/
const RIGHTS = /allowed[-_ ]?tools/i

/** There always is a head, also an empty one: whatever looks like another behind it is text. */
export function plainFrontmatter(text: string): string {
  const [whole = '', head = ''] = HEAD.exec(text) ?? []
  const kept: string[] = []
  let isKept = false
  for (const line of head.trimEnd().split(/\r?\n/)) {
    // What is not indented and is no item of a list begins a field.
    if (!/^(?:\s|- |$)/.test(line)) {
      const key = /^([A-Za-z-]+):(?:\s|$)/.exec(line)?.[1] ?? ''
      isKept = DESCRIBES.has(key)
    }
    if (isKept && (!RIGHTS.test(line) || /^disallowedTools:/.test(line))) kept.push(line)
  }
  return ['---', ...kept, '---', text.slice(whole.length)].join('\n')
}
