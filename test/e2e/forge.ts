// The API of a forge of one's own, as far as the real `gh` asks for it: one user, one repository, and its pull requests. It
// answers nobody who does not send the token.
import type { IncomingMessage, ServerResponse } from 'node:http'

export interface Forge {
  /** Takes what lies below `/api/`. */
  answer(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void>
  pulls: { title: string; headRefName: string; baseRefName: string }[]
  /** `authorization` of every request. */
  seen: Set<string | undefined>
}

interface ForgeOptions {
  host: string
  owner: string
  name: string
  token: string
}

const LOGIN = 'ada'

export function createForge({ host, owner, name, token }: ForgeOptions): Forge {
  const pulls: Forge['pulls'] = []
  const seen: Forge['seen'] = new Set()
  const url = `https://${host}/${owner}/${name}`
  const repository = {
    ...{
      id: 'R_1',
      name,
      nameWithOwner: `${owner}/${name}`,
      owner: { id: 'U_1', login: owner },
      url,
      description: 'the shop',
    },
    ...{ hasIssuesEnabled: true, hasWikiEnabled: false, viewerPermission: 'WRITE', parent: null },
    ...{ mergeCommitAllowed: true, rebaseMergeAllowed: true, squashMergeAllowed: true },
    defaultBranchRef: { name: 'main' },
  }
  const shown = () =>
    pulls.map((pull, index) => ({
      ...{ id: `PR_${index + 1}`, number: index + 1, state: 'OPEN', isDraft: false, ...pull },
      ...{ url: `${url}/pull/${index + 1}`, isCrossRepository: false },
      ...{ headRepositoryOwner: { id: 'U_1', login: owner }, createdAt: '2026-01-01T00:00:00Z' },
    }))
  const ask = ({ query, variables }: { query: string; variables?: { input?: unknown } }) => {
    if (query.includes('createPullRequest')) {
      pulls.push(variables?.input as Forge['pulls'][number])
      return { createPullRequest: { pullRequest: shown().at(-1) } }
    }
    // What this forge has beyond the oldest: nothing.
    if (query.includes('__type')) return {}
    const nodes = query.includes('PullRequestForBranch') ? [] : shown()
    const pullRequests = { totalCount: nodes.length, nodes, pageInfo: { hasNextPage: false } }
    return { viewer: { login: LOGIN }, repository: { ...repository, pullRequests } }
  }
  return {
    pulls,
    seen,
    answer: async (incoming, outgoing) => {
      const { authorization } = incoming.headers
      seen.add(authorization)
      const body = await read(incoming)
      outgoing.setHeader('content-type', 'application/json')
      if (authorization !== `token ${token}`)
        outgoing.writeHead(401).end('{"message":"Bad credentials"}')
      else if (incoming.url === '/api/graphql')
        outgoing.end(JSON.stringify({ data: ask(JSON.parse(body)) }))
      else if (incoming.url === '/api/v3/')
        outgoing.writeHead(200, { 'x-oauth-scopes': 'repo, read:org' }).end('{}')
      else if (incoming.url === '/api/v3/user') outgoing.end(JSON.stringify({ login: LOGIN }))
      else outgoing.writeHead(404).end('{"message":"Not Found"}')
    },
  }
}

async function read(incoming: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of incoming) chunks.push(chunk)
  return Buffer.concat(chunks).toString('utf8')
}
