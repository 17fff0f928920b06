// A new session for tests: the command that makes it, with ids that follow from a number.
import type { UserCommand } from '../../protocol/command.ts'
import { environmentSchema } from '../../protocol/environment.ts'
import { createId } from '../../protocol/ids.ts'

export const exampleId = (kind: 'session' | 'turn' | 'environment', n: number) =>
  createId(kind, new Uint8Array(20).fill(n))

export function exampleSession(n: number): Extract<UserCommand, { type: 'session.create' }> {
  const url = 'https://git.example/r.git'
  const source = { kind: 'remote' as const, url, credentialId: null }
  return {
    ...{ type: 'session.create', ownerId: 'ann', title: 'Fix it', driver: 'oci', mode: 'work' },
    ...{ model: null, turnId: exampleId('turn', n), kind: 'agent', text: 'fix it' },
    repository: { source, name: 'r', url, baseBranch: null, commit: null, branch: 'errand/fix' },
    environment: environmentSchema.parse({ id: exampleId('environment', n), name: 'Default' }),
  }
}
