// Takes a repository on this disk to Errand as the CLI does: a push over the git door, with the token in the environment.
import { basename } from 'node:path'
import type { Client } from '../../src/client/client.ts'
import { runChecked } from '../../src/lib/process.ts'

export async function createRepositoryUpload(
  { url, token, client }: { url: string; token: string; client: Client },
  repository: string,
) {
  const upload = await client.createUpload({ name: basename(repository) })
  await runChecked(
    'git',
    ['-C', repository, 'push', '--quiet', `${url}${upload.gitPath}`, 'HEAD:refs/heads/main'],
    {
      env: gitEnvironment(token),
    },
  )
  return { kind: 'upload' as const, uploadId: upload.id }
}

/** What git needs to use Errand's git door. */
export function gitEnvironment(token: string): Record<string, string> {
  return {
    PATH: process.env.PATH ?? '',
    HOME: '/nonexistent',
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_COUNT: '1',
    GIT_CONFIG_KEY_0: 'http.extraHeader',
    GIT_CONFIG_VALUE_0: `Authorization: Bearer ${token}`,
  }
}
