// What a fetch asks for that a mirror does not hold by itself: refs of pull and merge requests, of which a large repository has
// as many as it had requests, and single commits. They are brought when a client names them, which protocol v2 does with refs
// before anything is listed. Pure.

/** The refs that are fetched for one request at most; one that asks for more gets what is here. */
const MOST_REFS = 16
const NAMED = /^refs\/(?:pull|merge-requests)\/[1-9]\d{0,9}\/(?:head|merge)$/
const ALL = /^refs\/(pull|merge-requests)\/$/
const PREFIX = 'ref-prefix '

/**
 * From the body of a request to upload-pack: refs by name, or a pattern for all heads of requests (all of `refs/pull/`).
 * Empty for what is no `ls-refs` of protocol v2.
 */
export function wantedPullRefs(body: Buffer): string[] {
  const lines = packetLines(body)
  if (lines[0] !== 'command=ls-refs') return []
  const prefixes = lines
    .filter((line) => line.startsWith(PREFIX))
    .map((line) => line.slice(PREFIX.length))
  const wanted = prefixes.flatMap((prefix) => {
    const all = ALL.exec(prefix)?.[1]
    if (all !== undefined) return [`refs/${all}/*/head`]
    return NAMED.test(prefix) ? [prefix] : []
  })
  return [...new Set(wanted)].slice(0, MOST_REFS)
}

/** Objects that are asked for by id, from the body of a request to upload-pack of any version. */
export function wantedObjects(body: Buffer): string[] {
  const ids = packetLines(body).flatMap(
    (line) => /^want ([0-9a-f]{40})(?: |$)/.exec(line)?.[1] ?? [],
  )
  return [...new Set(ids)]
}

/** The text of packet lines (gitprotocol-common) up to the first that is broken; delimiters are left out. */
function packetLines(body: Buffer): string[] {
  const lines: string[] = []
  for (let at = 0; at + 4 <= body.length; ) {
    const head = body.toString('latin1', at, at + 4)
    if (!/^[0-9a-f]{4}$/.test(head)) break
    const length = Number.parseInt(head, 16)
    if (length >= 4) lines.push(body.toString('utf8', at + 4, at + length).replace(/\n$/, ''))
    at += Math.max(4, length)
  }
  return lines
}
