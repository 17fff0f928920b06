// Attacks on every operation of the server's API: as nobody, as somebody else, for another name, from another page. No sandbox
// reaches the API by itself (`past-the-gateway`, `forbidden-address`); for these its socket lies in the folder of the door.
import { SANDBOX_PATHS } from '../protocol/network.ts'
import { type ApiTargets, type AttackCase, inNode } from './attack-case.ts'

interface Calls {
  operations: ApiTargets['operations']
  headers: Record<string, string>
  /** Behind the name of each. */
  suffix?: string
}

/** Sends each of them; a stream is left when it has begun. */
function sendAll({ socket, host }: ApiTargets, calls: Calls[]): string {
  // A script is one argument of a program, which Linux holds to 128 KiB.
  const brief = calls.map(({ operations, headers, suffix = '' }) => ({
    ...{ headers, suffix },
    operations: operations.map(({ way, method, path, body }) => [way, method, path, body]),
  }))
  return inNode(`
const began = (text) => /^content-type: text\\/event-stream/im.test(text) && text.includes('\\r\\n\\r\\n')
const call = async ([way, method, path, body], headers, suffix) => {
  const there = await connect('${SANDBOX_PATHS.door}/${socket}')
  if (typeof there === 'string') return say(way, there)
  const answer = readAll(there, 20000, began)
  const typed = body ? { 'Content-Type': 'application/json' } : {}
  const sent = { Host: '${host}', Connection: 'close', ...typed, 'Content-Length': Buffer.byteLength(body), ...headers }
  there.write([method + ' ' + path + ' HTTP/1.1', ...Object.entries(sent).map((pair) => pair.join(': ')), '', body].join('\\r\\n'))
  say(way + suffix, summary(await answer))
}
for (const { operations, headers, suffix } of ${JSON.stringify(brief)})
  for (const operation of operations) await call(operation, headers, suffix)`)
}

const bearerOf = ({ bearer }: ApiTargets['owner']) => ({ Authorization: `Bearer ${bearer}` })

const PASSED = /^(2\d\d|409)\b/
const notOnInstallation = 'no sandbox reaches the API'

export const API_CASES: AttackCase[] = [
  {
    id: 'api-nobody',
    title: 'use the API as nobody',
    script: ({ api }) => {
      const closed = api.operations.filter(({ isPublic }) => !isPublic)
      return sendAll(api, [{ operations: closed, headers: { Origin: api.origin } }])
    },
    held: /^401 login_required$/,
    broken: PASSED,
    notOnInstallation,
  },
  {
    id: 'api-other-owner',
    title: 'use what belongs to somebody else',
    script: ({ api }) => {
      const owned = api.operations.filter(({ isOfOwner, isOwnerOnly }) => isOfOwner && !isOwnerOnly)
      return sendAll(api, [{ operations: owned, headers: bearerOf(api.member) }])
    },
    held: /^404 [a-z]+_not_found$/,
    broken: PASSED,
    notOnInstallation,
  },
  {
    id: 'api-member',
    title: 'do what the owner of the installation alone may do',
    script: ({ api }) => {
      const forOwner = api.operations.filter(({ isOwnerOnly }) => isOwnerOnly)
      return sendAll(api, [{ operations: forOwner, headers: bearerOf(api.member) }])
    },
    held: /^403 owner_only$/,
    broken: PASSED,
    notOnInstallation,
  },
  {
    id: 'api-host',
    title: 'use it by another name, as a name that is bound anew to it would',
    script: ({ api }) => {
      const headers = { ...bearerOf(api.owner), Host: 'evil.example' }
      return sendAll(api, [{ operations: api.operations, headers }])
    },
    held: /^403 host_not_allowed$/,
    broken: PASSED,
    notOnInstallation,
  },
  {
    id: 'api-origin',
    title: "use a browser's cookie from another page, or without saying from which",
    script: ({ api }) => {
      const cookie = { Cookie: api.owner.cookie }
      const isRead = ({ method }: { method: string }) => method === 'GET'
      const reads = api.operations.filter(isRead)
      const changes = api.operations.filter((operation) => !isRead(operation))
      const elsewhere = { Cookie: api.again.owner.cookie, Origin: 'https://evil.example' }
      return sendAll(api, [
        { operations: reads, headers: { ...cookie, 'Sec-Fetch-Site': 'cross-site' } },
        { operations: changes, headers: cookie },
        { ...api.again, headers: elsewhere, suffix: ' from a page' },
      ])
    },
    held: /^403 origin_not_allowed$/,
    broken: PASSED,
    notOnInstallation,
  },
]
