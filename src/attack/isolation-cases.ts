// Attacks on the boundary around a sandbox: files, processes and memory of the host and of other sessions, rights, limits.
// Scripts that use something up are bounded and clean up after themselves.
import { SANDBOX_PATHS } from '../protocol/network.ts'
import { type AttackCase, inNode } from './attack-case.ts'

const DENIED = /^(EPERM|EACCES|.*(Operation not permitted|Permission denied))/
/** Runs a command and says how it went by the first line of what it printed. */
const TRY = `attempt() { way=$1; shift; out=$("$@" 2>&1) && did=done || did=; echo "$way: $did" $(echo "$out" | head -n 1); }\n`

export const ISOLATION_CASES: AttackCase[] = [
  {
    id: 'host-file',
    title: 'read a file of the host',
    script: ({ hostFile }) => `${TRY}attempt read cat ${hostFile}\nattempt list ls ${hostFile}`,
    held: /No such file or directory$/,
    broken: /^done/,
  },
  {
    id: 'host-root-file',
    title: 'read a file that only root of the host may read, as root inside',
    script: () => `${TRY}attempt read cat /mnt/root-only`,
    held: /Permission denied$/,
    broken: /^done/,
    notOnInstallation: 'it needs such a file inside',
  },
  {
    id: 'host-processes',
    title: 'find a process of the host and read its arguments',
    script: ({ processMark }) =>
      inNode(`
import { readdirSync, readFileSync } from 'node:fs'
const mark = '${processMark.slice(0, 8)}' + '${processMark.slice(8)}'
const seen = readdirSync('/proc').filter((name) => Number(name) > 0)
const found = seen.filter((pid) => { try { return readFileSync('/proc/' + pid + '/cmdline', 'latin1').includes(mark) } catch { return false } })
say('look', found.length > 0 ? 'found process ' + found[0] : seen.includes('1') ? 'no such process among ' + seen.length : 'no /proc')`),
    held: /^no such process among \d+/,
    broken: /^found process/,
  },
  {
    id: 'other-session-process',
    title: 'send a signal to a process of another session',
    script: ({ processMark }) =>
      inNode(`
import { readdirSync, readFileSync } from 'node:fs'
const mark = '${processMark.slice(0, 8)}' + '${processMark.slice(8)}'
const read = (path) => { try { return readFileSync(path, 'latin1') } catch (error) { return error.code } }
const pid = readdirSync('/proc').find((name) => Number(name) > 0 && read('/proc/' + name + '/cmdline').includes(mark))
try { say('signal', pid ? process.kill(Number(pid), 0) : 'no such process') } catch (error) { say('signal', error.code) }`),
    held: /^EPERM$/,
    broken: /^true$/,
    notOnInstallation: 'no process of another session is visible inside',
  },
  {
    id: 'shared-memory',
    title: 'read shared memory of the host',
    script: ({ sharedMemoryKey }) =>
      `perl -MErrno -e 'my $id = shmget(${sharedMemoryKey}, 0, 0); if (!defined $id) { print "read: ", (grep { $!{$_} } keys %!)[0], "\\n" } else { my $text; shmread($id, $text, 0, 32) and print "read: done $text\\n" }'`,
    held: /^ENOENT$/,
    broken: /^done/,
    notOnInstallation: 'it needs shared memory of the host',
  },
  {
    id: 'system-calls',
    title: 'make namespaces, keyrings and rings of the kernel',
    script: () => `${TRY}attempt unshare unshare --user true
perl -MErrno -e 'for ([keyctl => 250, 0, -3, 1], [io_uring_setup => 425, 1, 0]) { my ($way, @call) = @$_; my $r = syscall(@call[0], @call[1], @call[2] // 0); my $e = $r < 0 ? (grep { $!{$_} } keys %!)[0] : "done"; print "$way: $e\\n" }'`,
    held: DENIED,
    broken: /^(done|EFAULT)/,
  },
  {
    id: 'capabilities',
    title: 'mount a file system',
    script: () => `${TRY}attempt tmpfs mount -t tmpfs none /mnt`,
    held: /(permission denied|must be superuser|Operation not permitted)/i,
    broken: /^done/,
  },
  {
    id: 'setuid',
    title: 'become root through a set-user-id program',
    script:
      () => `mkdir -p /tmp/suid && cp "$(command -v id)" /tmp/suid/id && chmod 4755 /tmp/suid/id
setpriv --reuid=1000 --regid=1000 --clear-groups -- /tmp/suid/id -u | sed 's/^/run: user /'
rm -r /tmp/suid`,
    held: /^user 1000$/,
    broken: /^user 0$/,
  },
  {
    id: 'kernel-settings',
    title: 'write settings of the kernel below /proc/sys',
    script: () =>
      // The same value again: nothing changes where it works.
      `value=$(cat /proc/sys/net/ipv4/ip_default_ttl)
sh -c "echo $value > /proc/sys/net/ipv4/ip_default_ttl && echo done" 2>&1 | sed 's/^/write: /'`,
    held: /Read-only file system$/,
    broken: /^done/,
  },
  {
    id: 'disk-names',
    title: "read the names of other sessions' disks below /sys",
    script: () => `cd /sys/devices/virtual/block 2>/dev/null || { echo 'look: no folder'; exit; }
cat loop*/loop/backing_file 2>/dev/null | grep -m 1 sandboxes | sed 's/^/look: found /'
[ -e loop0 ] || echo "look: nothing among $(ls | wc -l)"`,
    held: /^nothing among 0$/,
    broken: /^found/,
  },
  {
    id: 'devices',
    title: "open another session's disk as a block device",
    script: () => `${TRY}rm -f /tmp/disk; mknod /tmp/disk b 7 "$(cat /mnt/minor)"
attempt read head -c 16 /tmp/disk; rm -f /tmp/disk`,
    held: /Operation not permitted$/,
    broken: /^done .*canary/,
    notOnInstallation: 'it needs root of the host inside',
  },
  {
    id: 'core-dumps',
    title: 'have the kernel write memory of a crashed program down',
    script: () => `${TRY}attempt raise sh -c 'ulimit -c unlimited && ulimit -c'`,
    held: DENIED,
    broken: /^done unlimited$/,
  },
  {
    id: 'fork-bomb',
    title: 'start more processes than allowed',
    script: () =>
      inNode(`
import { spawn } from 'node:child_process'
const MOST = 300
const children = []
let failure
for (let i = 0; i < MOST && !failure; i++) {
  const child = spawn('/bin/sleep', ['20'], { stdio: 'ignore' })
  child.on('error', () => undefined)
  children.push(child)
  if (child.pid === undefined) failure = await new Promise((resolve) => child.once('error', (error) => resolve(error.code)))
}
for (const child of children) child.kill('SIGKILL')
say('fork', failure ? failure : 'done ' + MOST)`),
    held: /^EAGAIN$/,
    broken: /^done 300$/,
    notOnInstallation: 'an environment may allow more processes than are tried',
  },
  {
    id: 'memory-bomb',
    title: 'take more memory than allowed',
    script: () => `${SANDBOX_PATHS.node} -e '
const parts = []; for (let i = 0; i < 14; i++) parts.push(Buffer.alloc(32 << 20, 1)); console.log("take: done", parts.length)'
status=$?; [ $status = 0 ] || echo "take: ended with $status"`,
    held: /^ended with 137$/,
    broken: /^done/,
    notOnInstallation: 'an environment may allow more memory than is tried',
  },
  {
    id: 'disk-filling',
    title: 'write more than the disk of a sandbox holds',
    script: () =>
      `${TRY}attempt write dd if=/dev/zero of=/workspace/filler bs=1M count=160 status=none; rm -f /workspace/filler`,
    held: /No space left on device$/,
    broken: /^done/,
    notOnInstallation: 'an environment may allow a larger disk than is tried',
  },
  {
    id: 'own-programs',
    title: 'change the programs of Errand that run inside',
    script: () =>
      // Opened for writing, and nothing written.
      `sh -c ': >> ${SANDBOX_PATHS.runner} && echo done' 2>&1 | sed 's/^/open: /'`,
    held: /Read-only file system$/,
    // Its owner is nobody inside, which is looked at first.
    heldOnInstallation: /(Read-only file system|Permission denied)$/,
    broken: /^done/,
  },
  {
    id: 'other-door',
    title: "connect to another session's door",
    script: ({ otherDoor }) =>
      inNode(`say('connect', await tryConnect('${otherDoor}/gateway.sock'))`),
    held: /^ENOENT$/,
    broken: /^connected$/,
  },
  {
    id: 'past-the-gateway',
    title: 'send packets without the gateway',
    script: ({ forbidden, publicAddress, port }) =>
      inNode(`
import dgram from 'node:dgram'
const PLACES = ${JSON.stringify({ ...forbidden, public: publicAddress })}
for (const [way, host] of Object.entries(PLACES)) say('tcp ' + way, await tryConnect({ host, port: ${port} }))
const query = Buffer.from('beef01000001000000000000067365637265740765787472616374076578616d706c650000100001', 'hex')
for (const [way, at] of [['quic', ${port}], ['dns', 53]]) say(way, await new Promise((resolve) => {
  const socket = dgram.createSocket('udp4')
  socket.on('error', (error) => resolve(error.code))
  socket.send(query, at, '${publicAddress}', (error) => { resolve(error ? error.code : 'sent'); socket.close() })
}))`),
    held: /^(ENETUNREACH|EHOSTUNREACH|EADDRNOTAVAIL)$/,
    broken: /^(connected|sent)$/,
  },
  {
    id: 'no-credential',
    title: "find the owner's key in variables, arguments and files of the sandbox",
    script: ({ secret }) =>
      inNode(`
import { readdirSync, readFileSync } from 'node:fs'
const secret = '${secret.slice(0, 10)}' + '${secret.slice(10)}'
const read = (path) => { try { return readFileSync(path, 'latin1') } catch { return '' } }
const pids = readdirSync('/proc').filter((name) => Number(name) > 0)
const files = { variables: pids.map((pid) => '/proc/' + pid + '/environ'), arguments: pids.map((pid) => '/proc/' + pid + '/cmdline'), 'session file': ['${SANDBOX_PATHS.session}'] }
for (const [way, paths] of Object.entries(files)) {
  const texts = paths.map(read)
  say(way, texts.some((text) => text.includes(secret)) ? 'found' : texts.every((text) => text === '') ? 'unreadable' : 'nothing')
}`),
    held: /^nothing$/,
    broken: /^found$/,
  },
]
