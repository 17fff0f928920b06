// Git's configuration inside a sandbox: who commits, and how what is said to git of a repository's address gets to the door.
// An https address needs nothing here: its host is answered by the gateway. Other addresses are written anew on their way.
import { doorUrl } from '../../protocol/git-door.ts'
import type { RunnerSetup } from '../../protocol/runner-frames.ts'
import type { Variables } from '../agent/agent-environment.ts'

export interface GitSource {
  /** What `remote.origin.url` says; may be empty. */
  url: string
  /** Where git really fetches from. */
  source: string
}

/** `remote.origin.url` keeps saying the true address, whatever way it takes. */
export function gitConfig(
  { identity }: Pick<RunnerSetup, 'identity'>,
  sources: GitSource[],
  /** A file of more of it, which need not be there. */
  more?: string,
): string {
  return [
    '[user]',
    `\tname = ${quote(identity.name)}`,
    `\temail = ${quote(identity.email)}`,
    ...sources.filter(({ url }) => !isAnsweredAtItsHost(url)).flatMap(rewriting),
    '[safe]',
    '\tdirectory = *',
    '[push]',
    '\tdefault = current',
    '[init]',
    '\tdefaultBranch = main',
    '[advice]',
    '\tdetachedHead = false',
    ...(more === undefined ? [] : ['[include]', `\tpath = ${quote(more)}`]),
    '',
  ].join('\n')
}

/** The runner's own git goes to the door at once, without TLS that the gateway would end. */
export function throughDoor(variables: Variables, { url, source }: GitSource): Variables {
  if (!isAnsweredAtItsHost(url)) return variables
  const count = Number(variables.GIT_CONFIG_COUNT) || 0
  return {
    ...variables,
    GIT_CONFIG_COUNT: String(count + 1),
    [`GIT_CONFIG_KEY_${count}`]: `url.${source}.insteadOf`,
    [`GIT_CONFIG_VALUE_${count}`]: url,
  }
}

export function sourcesOf({
  setup,
  source = doorUrl(),
  additionalSource = doorUrl,
}: {
  setup: Pick<RunnerSetup, 'repository' | 'additional'>
  source?: string
  additionalSource?: (name: string) => string
}): GitSource[] {
  const others = setup.additional ?? []
  return [
    { url: setup.repository.url, source },
    ...others.map(({ name, url }) => ({ url, source: additionalSource(name) })),
  ]
}

function isAnsweredAtItsHost(url: string): boolean {
  return url.startsWith('https://')
}

/**
 * Lines that send an address to the door; what only begins with it is told apart there. Only the address without `.git` is
 * named: were the other one as well, `shop.git-old` and `shop-old` would come to the same path.
 */
export function rewriting({ url, source }: GitSource): string[] {
  if (url === '') return []
  return [`[url ${quote(source)}]`, `\tinsteadOf = ${quote(url.replace(/\.git$/, ''))}`]
}

/** A value of git's configuration syntax; control characters cannot be written in one and are dropped. */
function quote(value: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must go.
  const printable = value.replace(/[\u0000-\u001f\u007f]/g, '')
  return `"${printable.replace(/["\\]/g, '\\$&')}"`
}
