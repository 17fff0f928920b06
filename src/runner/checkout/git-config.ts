// Git's configuration inside a sandbox: who commits, and how what is said to git of a repository's address gets to the door.
// An https or http address needs nothing here: the gateway answers for its host. ssh addresses are written anew on their way.
import { rewrittenUrl } from '../../protocol/git-door.ts'
import type { RunnerSetup } from '../../protocol/runner-frames.ts'
import type { Variables } from '../agent/agent-environment.ts'

type Described = Pick<RunnerSetup, 'identity' | 'additional'> & { repository: { url: string } }

export interface GitSource {
  /** What `remote.origin.url` says; may be empty. */
  url: string
  /** Where git really fetches from. */
  source: string
}

/** `remote.origin.url` keeps saying the true address, whatever way it takes. */
export function gitConfig(
  { identity, repository, additional = [] }: Described,
  /** `more` is a file of more of it, which need not be there. */
  { more, hasLfs = false }: { more?: string; hasLfs?: boolean } = {},
): string {
  const all = [{ url: repository.url, name: undefined }, ...additional]
  return [
    '[user]',
    `\tname = ${quote(identity.name)}`,
    `\temail = ${quote(identity.email)}`,
    ...all
      .filter(({ url }) => !isAnsweredAtItsHost(url))
      .flatMap(({ url, name }) => rewriting(url, rewrittenUrl(name))),
    '[safe]',
    '\tdirectory = *',
    '[push]',
    '\tdefault = current',
    '[init]',
    '\tdefaultBranch = main',
    '[advice]',
    '\tdetachedHead = false',
    ...(hasLfs ? LFS_FILTER : []),
    ...(more === undefined ? [] : [including(more)]),
    '',
  ].join('\n')
}

/**
 * What `git lfs install` sets: without it a checkout holds pointers, and a commit the large files themselves. A file that cannot be
 * had (of an older commit of an uploaded repository, for one) leaves its pointer, in place of ending the checkout.
 */
const LFS_FILTER = [
  '[filter "lfs"]',
  '\tclean = git-lfs clean -- %f',
  '\tsmudge = git-lfs smudge -- %f',
  '\tprocess = git-lfs filter-process',
  '\trequired = true',
  '[lfs]',
  '\tskipdownloaderrors = true',
]

/** Takes a file into a configuration, if it is there. */
export function including(path: string): string {
  return `[include]\n\tpath = ${quote(path)}`
}

/** The runner's own git goes to the door at once, without TLS that the gateway would end. */
export function throughDoor(variables: Variables, { url, source }: GitSource): Variables {
  if (url === '') return variables
  const count = Number(variables.GIT_CONFIG_COUNT) || 0
  return {
    ...variables,
    GIT_CONFIG_COUNT: String(count + 1),
    [`GIT_CONFIG_KEY_${count}`]: `url.${source}.insteadOf`,
    [`GIT_CONFIG_VALUE_${count}`]: url,
  }
}

function isAnsweredAtItsHost(url: string): boolean {
  return /^https?:\/\//.test(url)
}

/** Lines that send an address to the door, with or without `.git`; what only begins with it is told apart there. */
export function rewriting(url: string, to: string): string[] {
  if (url === '') return []
  return [`[url ${quote(to)}]`, `\tinsteadOf = ${quote(url.replace(/\.git$/, ''))}`]
}

/** A value of git's configuration syntax; control characters cannot be written in one and are dropped. */
function quote(value: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must go.
  const printable = value.replace(/[\u0000-\u001f\u007f]/g, '')
  return `"${printable.replace(/["\\]/g, '\\$&')}"`
}
