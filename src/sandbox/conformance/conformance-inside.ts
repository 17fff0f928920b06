// Cases of the conformance suite: what a program inside finds, and what it may not do.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { SANDBOX_PATHS } from '../../protocol/network.ts'
import { exists } from '../files.ts'
import { type Cases, statusOf } from './conformance-cases.ts'

const NAMES_IN_ENVIRONMENT = ['HOME', 'LANG', 'PATH', 'PWD']

export function insideCases({ shared }: Cases): void {
  const sh = (script: string) => shared().guest.sh(script)

  it('is root inside and reaches the door', async () => {
    expect((await sh('id -u; id -g; hostname; pwd')).stdout).toBe(
      '0\n0\nsandbox-test\n/workspace\n',
    )
  })

  it('has nothing of the host in its environment', async () => {
    const { stdout } = await sh(`tr '\\0' '\\n' < /proc/1/environ | cut -d= -f1 | sort`)
    const names = stdout.trim().split('\n')
    expect(names.filter((name) => !NAMES_IN_ENVIRONMENT.includes(name))).toEqual([])
  })

  it('has its session file, read-only', async () => {
    const { stdout } = await sh(`cat ${SANDBOX_PATHS.session}`)
    expect(stdout).toBe('{"made":"by the test"}')
    for (const path of Object.values(SANDBOX_PATHS).slice(2, 6))
      expect((await sh(`echo x >> ${path}`)).stderr).toMatch(
        /Read-only file system|Permission denied/,
      )
  })

  it('has none of the host files that tell something', async () => {
    const paths = [
      '/etc/shadow',
      '/etc/ssh/ssh_host_rsa_key',
      '/etc/sudoers',
      '/etc/errand',
      '/work',
    ]
    const { stdout } = await sh(`ls -d ${paths.join(' ')} /root/.* /home/* 2>/dev/null | sort`)
    expect(stdout.split('\n').filter(Boolean)).toEqual(
      expect.not.arrayContaining([...paths, '/root/.ssh', '/root/.gitconfig', '/root/.claude']),
    )
    expect(stdout).not.toMatch(/shadow|ssh|sudoers|errand\n|\/work|claude/)
  })

  it.each([
    ['awk', 'awk', "awk 'BEGIN { print 6 * 7 }'", '42'],
    [
      'cc',
      'cc',
      'cd /tmp && echo "int main(){return 42;}" > a.c && cc a.c && ./a.out; echo $?',
      '42',
    ],
    ['java', 'java', 'java -version 2>&1 | grep -c version', '1'],
    ['tsc', 'tsc', 'tsc --version | cut -d" " -f1', 'Version'],
    [
      'python3 -m venv',
      'python3',
      'python3 -m venv /tmp/v && /tmp/v/bin/python -c "print(42)"',
      '42',
    ],
  ])('runs %s where the host has it', async (_name, program, script, expected) => {
    const found = (await sh(`command -v ${program}`)).exitCode === 0
    expect(found).toBe(await hostHas(program))
    if (found) expect((await sh(script)).stdout.trim()).toBe(expected)
  })

  it('has a node even where the host has none, and may become other users', async () => {
    expect((await sh('/opt/errand/bin/node -p 6*7; node -p 6*7')).stdout).toBe('42\n42\n')
    expect((await sh("bash -lc 'echo $PATH'")).stdout).toMatch(/:\/opt\/errand\/bin$/m)
    expect((await sh('su nobody -s /bin/sh -c "id -un"')).stdout).toBe('nobody\n')
  })
}

async function hostHas(program: string): Promise<boolean> {
  const paths = ['/usr/local/bin', '/usr/bin'].map((folder) => join(folder, program))
  return (await Promise.all(paths.map(exists))).some(Boolean)
}

export function rightsCases({ shared, harness }: Cases): void {
  const sh = (script: string) => shared().guest.sh(script)
  /** Makes one system call, by its number on x86-64, and answers with the name of the error. */
  const call = async (number: number, ...args: (number | string)[]) => {
    const list = args.map((arg) => (typeof arg === 'string' ? `my $a = "${arg}"` : arg)).join(', ')
    const script = `perl -MErrno -e 'my $r = syscall(${number}, ${list}); print $r < 0 ? (grep { $!{$_} } keys %!)[0] : "done"'`
    return (await sh(script)).stdout
  }

  it('is an ordinary user outside', async () => {
    const status = await statusOf(harness(), shared().sessionId)
    const text = await readFile(`/proc/${status?.pid}/status`, 'utf8')
    expect(Number(/^Uid:\s+(\d+)/m.exec(text)?.[1])).toBeGreaterThanOrEqual(100_000)
  })

  it.runIf(process.arch === 'x64').each([
    ['mount', 165, ['none', '/mnt', 'tmpfs', 0, 0], 'EPERM'],
    ['unshare of a user namespace', 272, [0x10000000], 'EPERM'],
    ['unshare of a mount namespace', 272, [0x20000], 'EPERM'],
    ['clone3', 435, [0, 0], 'ENOSYS'],
    ['keyctl', 250, [0, 0], 'EPERM'],
    ['bpf', 321, [0, 0, 0], 'EPERM'],
    ['perf_event_open', 298, [0, 0, 0, 0, 0], 'EPERM'],
    ['io_uring_setup', 425, [1, 0], 'EPERM'],
    ['init_module', 175, [0, 0, 0], 'EPERM'],
    ['reboot', 169, [0, 0, 0], 'EPERM'],
    ['setns', 308, [0, 0], 'EPERM'],
    ['mknod of a block device', 133, ['/tmp/disk', 0o60600, 1792], 'EPERM'],
    ['ptrace of a process outside', 101, [16, 4_000_000, 0, 0], 'ESRCH'],
  ] as const)('refuses %s', async (_name, number, args, expected) => {
    expect(await call(number, ...args)).toBe(expected)
  })

  it.runIf(process.arch === 'x64')('ends whoever calls in the way of x32', async () => {
    const { stdout } = await sh("perl -e 'syscall(0x40000000 + 39)'; echo $?")
    expect(stdout).toBe('159\n')
  })

  it('refuses to touch the kernel', async () => {
    for (const path of [
      '/proc/sysrq-trigger',
      '/proc/sys/kernel/panic',
      '/sys/kernel/mm/transparent_hugepage/enabled',
    ])
      expect((await sh(`echo 1 > ${path}`)).exitCode).not.toBe(0)
    expect(
      (await sh('head -qc1 /proc/kcore /proc/keys /dev/mem /dev/vda | wc -c')).stdout,
    ).not.toMatch(/^[1-9]/)
  })

  it('has no right that its own set leaves out, and gets no new one', async () => {
    const { stdout } = await sh('grep -E "^(CapBnd|NoNewPrivs|Seccomp):" /proc/self/status')
    expect(stdout.split(/\s+/)).toEqual([
      'CapBnd:',
      '00000000a80425fb',
      'NoNewPrivs:',
      '1',
      'Seccomp:',
      '2',
      '',
    ])
  })
}
