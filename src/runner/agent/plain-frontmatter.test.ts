import { expect, it } from 'vitest'
import { plainFrontmatter } from './plain-frontmatter.ts'

const head = (...lines: string[]) => ['---', ...lines, '---', 'Do it.'].join('\n')

it('keeps what describes, over several lines too, and the text', () => {
  const plain = head(
    ...['name: critic', 'description: |', '  Judges.', '  Twice.', 'tools:', '- Read', '- Grep'],
    ...['disallowedTools: Bash', 'model: haiku'],
  )
  expect(plainFrontmatter(plain)).toBe(plain)
  expect(plainFrontmatter('No head.')).toBe('---\n---\nNo head.')
  expect(plainFrontmatter(head())).toBe(head())
})

it.each([
  ['as it is usual', head('allowed-tools: Bash', 'description: x')],
  ['as a list', head('allowed-tools:', '- Bash', '  - Bash', 'description: x')],
  ['in quotes', head('"allowed-tools": Bash', "'allowed-tools': Bash", 'description: x')],
  ['as an explicit key', head('? allowed-tools', ': Bash', 'description: x')],
  ['in braces', head('{ allowed-tools: Bash, description: y }', 'description: x')],
  ['with an indent', head('  allowed-tools: Bash', 'description: x')],
  ['behind another field', head('description: x', '  allowed-tools: Bash')],
  ['by a merge', head('x: &x', '  allowed-tools: Bash', '<<: *x', 'description: x')],
  [
    'with other ends of lines',
    head('allowed-tools: Bash', 'description: x').replaceAll('\n', '\r\n'),
  ],
  ['behind a mark of byte order', `\uFEFF${head('allowed-tools: Bash', 'description: x')}`],
  [
    'with modes and hooks',
    head('permissionMode: bypassPermissions', 'hooks:', '  X: y', 'description: x'),
  ],
])('takes rights out: %s', (_, text) => {
  const [, fields] = plainFrontmatter(text).split('---')
  expect(fields?.trim()).toBe('description: x')
})

it('lets no second head count', () => {
  const text = plainFrontmatter(' \n---\nallowed-tools: Bash\n---\nDo it.')
  expect(text.startsWith('---\n---\n')).toBe(true)
})
