import { expect, it } from 'vitest'
import type { Diff } from '../../protocol/api.ts'
import type { SessionState } from '../../protocol/session.ts'
import { createTestCli } from '../cli.fixture.ts'

const id = `s_${'a'.repeat(20)}`

it('counts the lines of each file, and none of a binary one', async () => {
  const file = { oldPath: null, status: 'modified' as const, insertions: 2, deletions: 1 }
  const binary = { ...file, path: 'logo.png', binary: true, insertions: 0, deletions: 0 }
  const diff: Diff = {
    ...{ base: 'a'.repeat(40), head: 'b'.repeat(40), insertions: 2, deletions: 1, commits: [] },
    files: [binary, { ...file, path: 'a.ts', binary: false }],
    ...{ patch: 'diff\n', truncated: false },
  }
  const session = { id, repository: { name: 'cart' }, additional: [] } as unknown as SessionState
  const client = { getSession: async () => session, getDiff: async () => diff }
  const cli = createTestCli({ client })
  expect(await cli.run('diff', id, '--stat')).toBe(0)
  expect(cli.stdout.text()).toMatch(/^binary +modified +logo\.png\n\+2 +−1 +modified +a\.ts$/m)
})
