// A private git host in the test: the sample repository behind Basic auth, served by git's own http-backend. Known by a name
// at an address of a private network, as a forge of one's own would be.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createSampleRepository } from '../../demo/repository.ts'
import {
  createTestUpstream,
  createWorkbench,
  type TestUpstream,
} from '../../src/git/upstream/upstream.fixture.ts'

export const GIT_HOST = 'git.errand.test'

export interface PrivateUpstream extends TestUpstream {
  user: string
  token: string
  /** With the credential before the host. */
  urlWithCredential: string
  /** Names and commits of all branches and tags, as the host has them. */
  refs(): Promise<Record<string, string>>
  git(...args: string[]): Promise<string>
  allowPushes(): Promise<void>
  remove(): Promise<void>
}

/** The repository of the demo, on `main`, with a second branch and a tag. */
export async function createPrivateUpstream(
  address: string,
  password = 'upstream-Token-7f3a91c2e8',
): Promise<PrivateUpstream> {
  const root = await mkdtemp(join(tmpdir(), 'errand-upstream-'))
  const workbench = createWorkbench(root)
  const user = 'deploy'
  const upstream = await createTestUpstream(root, {
    ...{ workbench, user, password, empty: true, host: address },
  })
  const sample = join(root, 'sample')
  await createSampleRepository(sample)
  const refspecs = ['HEAD:refs/heads/main', 'HEAD:refs/heads/other', 'HEAD:refs/tags/v0']
  await workbench.git(sample, ['push', '--quiet', upstream.directory, ...refspecs])
  const git = (...args: string[]) => workbench.git(upstream.directory, args)
  const url = upstream.url.replace(address, GIT_HOST)
  return Object.assign(upstream, {
    url,
    user,
    token: password,
    urlWithCredential: url.replace('://', `://${user}:${password}@`),
    git,
    refs: async () => {
      const lines = (await git('for-each-ref', '--format=%(refname) %(objectname)')).split('\n')
      return Object.fromEntries(lines.map((line) => line.split(' ')))
    },
    allowPushes: () => rm(join(upstream.directory, 'hooks/pre-receive'), { force: true }),
    remove: async () => {
      upstream.close()
      await rm(root, { recursive: true, force: true })
    },
  })
}
