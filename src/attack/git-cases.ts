// Attacks through the git door: other refs, other repositories, objects that harm who checks them out, and sheer size.
import { type AttackCase, inNode } from './attack-case.ts'

/** A clone of the session's repository with one new commit, made through the door as git does it. */
export const gitWith = (branch: string) => `
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { randomBytes } from 'node:crypto'
const relay = net.createServer((client) => {
  const door = net.connect(DOOR)
  for (const [one, other] of [[client, door], [door, client]]) { one.pipe(other); one.on('error', () => other.destroy()) }
})
await new Promise((resolve) => relay.listen(0, '127.0.0.1', resolve))
const folder = mkdtempSync('/tmp/attack-')
const env = { PATH: process.env.PATH, HOME: folder, GIT_TERMINAL_PROMPT: '0', GIT_CONFIG_NOSYSTEM: '1', ...Object.fromEntries(['AUTHOR', 'COMMITTER'].flatMap((who) => [['GIT_' + who + '_NAME', 'a'], ['GIT_' + who + '_EMAIL', 'a@example.org']])) }
const run = (args, input) => new Promise((resolve) => {
  const child = execFile('git', args, { cwd: folder, env, timeout: 30000, encoding: 'latin1' }, (error, out, err) => resolve({ ok: !error, out: out.trim(), err }))
  child.stdin.on('error', () => undefined)
  child.stdin.end(input)
})
const git = (...args) => run(args)
const told = ({ ok, err }) => ok ? 'pushed' : (/errand: (?!its owner)[^\\n]*|hasDot[a-z]+|pack exceeds maximum[^\\n]*|deny updating[^)\\n]*|deletion prohibited/i.exec(err)?.[0].trim() ?? 'failed ' + err.trim().split('\\n').at(-1))
const cloned = await git('clone', '--quiet', 'http://127.0.0.1:' + relay.address().port + '/git/repository.git', '.')
if (!cloned.ok) say('clone', 'failed ' + cloned.err)
await git('checkout', '--quiet', '-B', 'attack', 'origin/${branch}')
writeFileSync(folder + '/attack.txt', randomBytes(4))
await git('add', '.')
await git('commit', '--quiet', '-m', 'attack')
const done = () => { relay.close(); rmSync(folder, { recursive: true }); setImmediate(() => process.exit()) }
`

/** Requests for large files of the session's repository. */
export const LARGE_FILES = `
import { createHash } from 'node:crypto'
const FILES = '/git/repository.git/info/lfs/objects/'
const hashOf = (text) => createHash('sha256').update(text, 'latin1').digest('hex')
const batch = (operation, oid, size) => {
  const body = JSON.stringify({ operation, transfers: ['basic'], objects: [{ oid, size }] })
  return ask(http('POST', FILES + 'batch', ['Content-Type: application/vnd.git-lfs+json', 'Content-Length: ' + body.length], body))
}
`

export const GIT_CASES: AttackCase[] = [
  {
    id: 'other-ref',
    title: 'push to a ref that is not the branch of the session',
    script: ({ branch }) =>
      inNode(`${gitWith(branch)}
for (const ref of ['refs/heads/other', 'refs/heads/MAIN', 'refs/tags/v9', 'refs/notes/commits', 'refs/for/main'])
  say(ref.slice(5), told(await git('push', 'origin', 'HEAD:' + ref)))
done()`),
    held: /^errand: this session may push to \S+ only; \S+ was refused$/,
    broken: /^pushed$/,
  },
  {
    id: 'hidden-ref',
    title: 'push to another ref past the hook',
    script: ({ branch }) =>
      inNode(`${gitWith(branch)}
for (const ref of ['refs/heads/hidden', 'refs/tags/v8', 'refs/notes/x'])
  say(ref.slice(5), told(await git('push', 'origin', 'HEAD:' + ref + '-' + randomBytes(4).toString('hex'))))
done()`),
    held: /^deny updating a hidden ref$/,
    broken: /^pushed$/,
    notOnInstallation: 'the hook refuses it first',
  },
  {
    id: 'outward-ref',
    title: 'push to another ref of the upstream past the hook',
    script: ({ branch }) =>
      inNode(`${gitWith(branch)}
const end = randomBytes(4).toString('hex')
for (const ref of ['refs/heads/outward', 'refs/notes/outward', 'refs/tags/outward'])
  say(ref.slice(5), told(await git('push', 'origin', 'HEAD:' + ref + '-' + end)))
done()`),
    held: /^errand: this session may push to \S+ only; \S+ was refused$/,
    broken: /^pushed$/,
    notOnInstallation: 'the hook refuses it first',
  },
  {
    id: 'branch-rewriting',
    title: 'replace what its branch holds already',
    script: ({ branch }) =>
      inNode(`${gitWith(branch)}
await git('push', '--quiet', 'origin', 'HEAD:refs/heads/${branch}')
writeFileSync(folder + '/attack.txt', 'another')
await git('commit', '--quiet', '--amend', '--all', '-m', 'another')
const ref = 'HEAD:refs/heads/${branch}'
say('force', told(await git('push', '--force', 'origin', ref)))
await git('commit', '--quiet', '--amend', '-m', 'one more')
say('plus', told(await git('push', 'origin', '+' + ref)))
done()`),
    held: /^errand: \S+ may only move forward/,
    broken: /^pushed$/,
  },
  {
    id: 'branch-deletion',
    title: 'delete a branch',
    script: ({ branch }) =>
      inNode(`${gitWith(branch)}
say('own', told(await git('push', 'origin', '--delete', 'refs/heads/${branch}')))
await git('push', '--quiet', 'origin', 'HEAD:refs/heads/${branch}')
done()`),
    held: /^deletion prohibited$/,
    broken: /^pushed$/,
    notOnInstallation: 'the hook refuses it first',
  },
  {
    id: 'packed-body',
    title: 'send a small body that becomes a huge one when it is unpacked',
    script: () =>
      inNode(`
import { gzipSync } from 'node:zlib'
const fetchWith = (body) => {
  const head = http('POST', '/git/repository.git/git-upload-pack', ['Git-Protocol: version=2', 'Content-Type: application/x-git-upload-pack-request', 'Content-Encoding: gzip', 'Content-Length: ' + body.length])
  return ask(Buffer.concat([Buffer.from(head), body]))
}
const harmless = summary(await fetchWith(gzipSync('0014command=ls-refs\\n0000')))
if (!harmless.startsWith('200 ')) say('harmless', harmless)
const answer = summary(await fetchWith(gzipSync(Buffer.alloc(24 << 20, '0014command=ls-refs\\n0000'))))
say('gzip', answer.startsWith('200 ') ? '200 unpacked' : answer)`),
    held: /^400 git_body_broken$/,
    broken: /^200 unpacked$/,
  },
  {
    id: 'push-memory',
    title: 'push a few bytes that become more than the machine has memory for',
    script: ({ branch }) =>
      inNode(`${gitWith(branch)}
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { deflateSync } from 'node:zlib'
const ref = 'refs/heads/${branch}'
const first = await git('push', '--quiet', 'origin', 'HEAD:' + ref)
if (!first.ok) say('first', told(first))
await git('commit', '--quiet', '--allow-empty', '-m', 'bomb')
const [old, now] = [(await git('rev-parse', 'HEAD~1')).out, (await git('rev-parse', 'HEAD')).out]
const hash = (...parts) => parts.reduce((all, part) => all.update(part), createHash('sha1')).digest()
const varint = (value) => { const bytes = []; for (; value > 127; value = Math.floor(value / 128)) bytes.push((value % 128) | 128); return [...bytes, value] }
const object = (type, data, more = Buffer.alloc(0)) => {
  const rest = Math.floor(data.length / 16)
  const head = [(type << 4) | (data.length % 16) | (rest > 0 ? 128 : 0), ...(rest > 0 ? varint(rest) : [])]
  return Buffer.concat([Buffer.from(head), more, deflateSync(data)])
}
const PIECE = 1 << 16
const base = Buffer.alloc(PIECE)
// Each byte is an order to copy all of the base once more.
const pieces = 192 << 4
const delta = Buffer.concat([Buffer.from([...varint(PIECE), ...varint(pieces * PIECE)]), Buffer.alloc(pieces, 0x80)])
const objects = [object(1, execFileSync('git', ['cat-file', 'commit', 'HEAD'], { cwd: folder, env })), object(3, base), object(7, delta, hash('blob ' + PIECE + '\\0', base))]
const head = Buffer.from('PACK\\0\\0\\0\\x02\\0\\0\\0' + String.fromCharCode(objects.length))
const pack = Buffer.concat([head, ...objects])
const line = old + ' ' + now + ' ' + ref + '\\0report-status side-band-64k'
const orders = (line.length + 4).toString(16).padStart(4, '0') + line + '0000'
const body = Buffer.concat([Buffer.from(orders), pack, hash(pack)])
const request = http('POST', '/git/repository.git/git-receive-pack', ['Content-Type: application/x-git-receive-pack-request', 'Content-Length: ' + body.length])
const answer = await ask(Buffer.concat([Buffer.from(request), body]), { ms: 60000 })
say('delta', answer.includes('ok ' + ref) ? 'pushed' : (/Out of memory[^\\n]*/.exec(answer)?.[0] ?? summary(answer)))
done()`),
    held: /^Out of memory, malloc failed/,
    broken: /^pushed$/,
    notOnInstallation: 'it would take more than 4 GiB of memory',
  },
  {
    id: 'tree-bomb',
    title: 'have the host list a few trees that stand for more files than it has memory for',
    script: ({ branch }) =>
      inNode(`${gitWith(branch)}
const blob = (await run(['hash-object', '-w', '--stdin'], 'x')).out
let tree = (await run(['mktree'], '100644 blob ' + blob + '\\tfile\\n')).out
const names = Array.from({ length: 8 }, (_, at) => 'a-folder-of-many-folders-' + at)
for (let depth = 0; depth < 5; depth++)
  tree = (await run(['mktree'], names.map((name) => '040000 tree ' + tree + '\\t' + name + '\\n').join(''))).out
const clean = (await git('rev-parse', 'HEAD^{tree}')).out
const bomb = (await git('commit-tree', tree, '-p', 'HEAD', '-m', 'bomb')).out
const pushed = told(await git('push', 'origin', bomb + ':refs/heads/${branch}'))
say('list', pushed === 'pushed' ? summary(await ask(http('GET', '/reach'), { ms: 60000 })).slice(0, 60) : pushed)
const after = (await git('commit-tree', clean, '-p', bomb, '-m', 'clean')).out
const cleaned = await git('push', 'origin', after + ':refs/heads/${branch}')
if (!cleaned.ok) say('clean', told(cleaned))
done()`),
    held: /^413 diff_too_large$/,
    broken: /^200 /,
    notOnInstallation: 'it would take gigabytes of memory',
  },
  // What these push stays on the branch.
  {
    id: 'push-size',
    title: 'push more than a push may hold',
    script: ({ branch }) =>
      inNode(`${gitWith(branch)}
writeFileSync(folder + '/large.bin', randomBytes(3 << 20))
await git('add', 'large.bin')
await git('commit', '--quiet', '-m', 'large')
say('push', told(await git('push', 'origin', 'HEAD:refs/heads/${branch}')))
done()`),
    held: /^pack exceeds maximum allowed size/,
    broken: /^pushed$/,
    notOnInstallation: 'it would take more than 1 GiB',
  },
  {
    id: 'bad-objects',
    title: 'push a tree that writes into .git when it is checked out',
    script: ({ branch }) =>
      inNode(`${gitWith(branch)}
const blob = (await run(['hash-object', '-w', '--stdin'], 'x')).out
const trees = { 'dot git': '.git', 'short name': 'GIT~1' }
for (const [way, name] of Object.entries(trees)) {
  writeFileSync(folder + '/tree', Buffer.concat([Buffer.from('100644 ' + name + '\\0'), Buffer.from(blob, 'hex')]))
  const tree = (await git('hash-object', '-t', 'tree', '-w', '--literally', 'tree')).out
  const commit = (await git('commit-tree', tree, '-p', 'HEAD', '-m', way)).out
  await git('reset', '--quiet', '--soft', commit)
  say(way, told(await git('push', 'origin', commit + ':refs/heads/${branch}')))
}
done()`),
    held: /^hasDotgit$/,
    broken: /^pushed$/,
  },
  {
    id: 'other-repository',
    title: 'read the repository of another session',
    script: ({ otherSession }) =>
      inNode(`
const paths = ['/git/session/${otherSession}', '/git/${otherSession}/repository.git']
for (const path of paths) say(path.replace('${otherSession}', 'other').slice(1), summary(await ask(http('GET', path + '/info/refs?service=git-upload-pack'))))`),
    held: /^404 (repository_not_found|session_not_found)$/,
    broken: /^200\b/,
  },
  {
    id: 'large-file-content',
    title: 'store a large file (LFS) under the name of another one',
    script: () =>
      inNode(`${LARGE_FILES}
const name = hashOf('what it should hold')
await batch('upload', name, 4)
const sent = summary(await ask(http('PUT', FILES + name, ['Content-Length: 4'], 'evil')))
if (!sent.startsWith('200 ')) say('store', sent)
else {
  await batch('download', name, 4)
  const read = await ask(http('GET', FILES + name))
  say('store', read.endsWith('evil') ? 'stored and read' : summary(read))
}`),
    held: /^400 lfs_content_wrong$/,
    broken: /^stored and read$/,
    notOnInstallation: 'it needs a repository that is kept here alone',
  },
  {
    id: 'large-file-size',
    title: 'store a large file (LFS) of another size than was asked for',
    script: () =>
      inNode(`${LARGE_FILES}
const store = async (way, text, asked, header, body = text) => {
  const name = hashOf(text)
  await batch('upload', name, asked)
  const sent = summary(await ask(http('PUT', FILES + name, [header], body)))
  if (!sent.startsWith('200 ')) return say(way, sent)
  await batch('download', name, text.length)
  const read = await ask(http('GET', FILES + name))
  say(way, read.endsWith(text) ? 'stored and read' : summary(read))
}
const [larger, smaller, untold] = ['more than was said', 'less', 'of no length']
await store('larger', larger, 4, 'Content-Length: ' + larger.length)
await store('smaller', smaller, 1000, 'Content-Length: ' + smaller.length)
await store('length not told', untold, untold.length, 'Transfer-Encoding: chunked', untold.length.toString(16) + '\\r\\n' + untold + '\\r\\n0\\r\\n\\r\\n')`),
    held: /^400 lfs_size_wrong$/,
    broken: /^stored and read$/,
    notOnInstallation: 'it needs a repository that is kept here alone',
  },
  {
    id: 'other-large-file',
    title: 'read a large file (LFS) of another session by its name',
    script: ({ otherFile: { oid, size } }) =>
      inNode(`${LARGE_FILES}
const said = await batch('download', '${oid}', ${size})
const read = await ask(http('GET', FILES + '${oid}'))
const isRead = hashOf(read.split('\\r\\n\\r\\n').slice(1).join('')) === '${oid}'
say('list', said.includes('"download"') ? 'listed' : /does not have this file/.exec(said)?.[0] ?? summary(said))
say('read', isRead ? 'read' : summary(read))`),
    held: /^(does not have this file|404 lfs_object_not_asked)$/,
    broken: /^(listed|read)$/,
    notOnInstallation: 'it needs a large file of another session',
  },
]
