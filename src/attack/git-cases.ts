// Attacks through the git door: other refs, other repositories, objects that harm who checks them out, and sheer size.
import { type AttackCase, inNode } from './attack-case.ts'

/** A clone of the session's repository with one new commit, made through the door as git does it. */
const gitWith = (branch: string) => `
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
]
