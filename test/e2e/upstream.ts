// A private git host in the test: the sample repository behind Basic auth, served by git's own http-backend. Known by a name
// at an address of a private network, as a forge of one's own would be.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createSampleRepository } from '../../demo/repository.ts'
import {
  createTestUpstream,
  createWorkbench,
  type TestUpstream,
  type Workbench,
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
  /** One more repository of the host, with the same content. Resolves with its folder. */
  copy(name: string): Promise<string>
  /** One more, which has these submodules; on no branch when it is `passing`. Resolves with its commit. */
  addWith(
    name: string,
    submodules: Record<string, string>,
    how?: { pinned?: Record<string, string>; passing?: boolean },
  ): Promise<string>
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
  const copy = async (name: string) => {
    const bare = join(root, `${name}.git`)
    await workbench.git(root, ['clone', '--quiet', '--bare', upstream.directory, bare])
    return bare
  }
  return Object.assign(upstream, {
    copy,
    addWith: async (name, submodules, how) =>
      addSubmodules(workbench, await copy(name), {
        clone: join(root, 'clones', name),
        submodules,
        ...how,
      }),
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
  } satisfies Omit<PrivateUpstream, keyof TestUpstream> & { url: string })
}

async function addSubmodules(
  { git }: Workbench,
  bare: string,
  {
    clone,
    submodules,
    pinned = {},
    passing = false,
  }: { clone: string; submodules: Record<string, string> } & Parameters<
    PrivateUpstream['addWith']
  >[2],
): Promise<string> {
  await git(dirname(bare), ['clone', '--quiet', bare, clone])
  const head = await git(clone, ['rev-parse', 'HEAD'])
  const entries = Object.entries(submodules)
  const said = entries.map(
    ([path, address]) => `[submodule "${path}"]\n\tpath = ${path}\n\turl = ${address}\n`,
  )
  for (const [path] of entries) {
    const entry = `160000,${pinned[path] ?? head},${path}`
    await git(clone, ['update-index', '--add', '--cacheinfo', entry])
  }
  await writeFile(join(clone, '.gitmodules'), said.join(''))
  await git(clone, ['add', '.gitmodules'])
  await git(clone, ['commit', '--quiet', '-m', 'Submodules'])
  await git(clone, ['push', '--quiet', 'origin', `HEAD:${passing ? 'passing' : 'main'}`])
  if (passing) await git(bare, ['branch', '--quiet', '-D', 'passing'])
  return git(clone, ['rev-parse', 'HEAD'])
}
