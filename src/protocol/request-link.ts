// Where a branch that reached its remote becomes a pull or merge request, at hosts whose address for that is known.
import type { Repository } from './session.ts'

export interface RequestLink {
  word: string
  url: string
}

type Forge = (branch: string, base: string | null) => { word: string; rest: string }

const pull = (rest: string) => ({ word: 'Create a pull request', rest })
const compared: Forge = (branch, base) => pull(`/compare/${base ? `${base}...` : ''}${branch}`)
const github: Forge = (branch, base) => pull(`${compared(branch, base).rest}?expand=1`)
const gitlab: Forge = (branch, base) => {
  const query = new URLSearchParams({ 'merge_request[source_branch]': branch })
  if (base) query.set('merge_request[target_branch]', base)
  return { word: 'Create a merge request', rest: `/-/merge_requests/new?${query}` }
}
const bitbucket: Forge = (branch, base) => {
  const query = new URLSearchParams({ source: branch, ...(base ? { dest: base } : {}) })
  return pull(`/pull-requests/new?${query}`)
}

/** Hosts of one's own are usually named after what runs there. */
const FORGES: [RegExp, Forge][] = [
  [/^github\./, github],
  [/^gitlab\./, gitlab],
  [/^bitbucket\.org$/, bitbucket],
  [/^(codeberg\.org$|gitea\.|forgejo\.)/, compared],
]

/** Null where the host is not known. The link goes to the host of the repository and nowhere else. */
export function requestLink({
  url,
  branch,
  baseBranch,
}: Pick<Repository, 'url' | 'branch' | 'baseBranch'>): RequestLink | null {
  const at = addressOf(url)
  const forge = at && FORGES.find(([host]) => host.test(at.host))?.[1]
  if (!forge) return null
  const plain = forge === gitlab || forge === bitbucket
  const part = (name: string) => (plain ? name : name.split('/').map(encodeURIComponent).join('/'))
  const { word, rest } = forge(part(branch), baseBranch && part(baseBranch))
  return { word, url: `https://${at.host}${at.path}${rest}` }
}

/** Of https, ssh and the short form `git@host:owner/name`. A port of ssh says nothing about the web. */
function addressOf(url: string): { host: string; path: string } | null {
  const short = /^[\w.-]+@([\w.-]+):(?!\/)(.+)$/.exec(url)
  const whole = short ? `ssh://${short[1]}/${short[2]}` : url
  if (!URL.canParse(whole)) return null
  const { protocol, hostname, host, pathname } = new URL(whole)
  if (!['https:', 'ssh:'].includes(protocol)) return null
  const path = pathname.replace(/\/+$/, '').replace(/\.git$/, '')
  if (path.split('/').filter(Boolean).length < 2) return null
  return { host: (protocol === 'https:' ? host : hostname).toLowerCase(), path }
}
