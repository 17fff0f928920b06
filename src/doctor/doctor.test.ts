import { describe, expect, it } from 'vitest'
import type { ErrandFacts, Facts, IsolationFacts, MachineFacts, OutsideFacts } from './checks.ts'
import { renderDiagnosis } from './command.ts'
import { diagnose } from './doctor.ts'

const PROGRAMS = [
  ...['git', 'ip', 'nft', 'unshare', 'setpriv', 'mkfs.ext4', 'perl', 'useradd', 'tar'],
  ...['newuidmap', 'runc'],
]
const NOW = new Date('2026-06-01T12:00:00Z')

const machine: MachineFacts = {
  platform: 'linux',
  arch: 'x64',
  kernel: '6.8.0-45-generic',
  nodeVersion: '24.1.0',
  uid: 0,
  cpus: 4,
  memoryBytes: 16 * 2 ** 30,
  programs: Object.fromEntries(PROGRAMS.map((name) => [name, `/usr/bin/${name}`])),
  versions: { git: 'git version 2.43.0', runc: 'runc version 1.1.12' },
  ociRuntime: 'runc',
  clock: { now: NOW, elsewhere: null },
}
const isolation: IsolationFacts = {
  isRoot: true,
  userName: 'root',
  rootless: true,
  allowUnlimited: false,
  unprivilegedUserns: 1,
  maxUserNamespaces: 60_000,
  apparmorRestrictsUserns: null,
  userNamespace: { error: null },
  subordinateIds: { uids: 65_536, gids: 65_536 },
  cgroups: { layout: 'v2', controllers: ['cpu', 'io', 'memory', 'pids'], delegation: null },
  hasSeccomp: true,
  hasOverlay: true,
  loop: 'there',
  idmappedMounts: { error: null },
  network: { error: null },
  kvm: 'missing',
}
const errand: ErrandFacts = {
  isRoot: true,
  npmInstalled: true,
  built: true,
  agentThere: true,
  codeDir: '/srv/errand',
  codeReadableByOthers: true,
  dataDir: {
    path: '/var/lib/errand',
    exists: true,
    refusal: null,
    isWritable: true,
    othersMayEnter: true,
    freeBytes: 100 * 2 ** 30,
    freeInodes: 5_000_000,
  },
  socketPathError: null,
  port: { host: '127.0.0.1', port: 7777, state: 'free' },
  database: { kind: 'embedded', version: 'PostgreSQL 18.4', error: null },
  instance: { state: 'none' },
  version: '0.1.0',
  unknownVariables: [],
}
const outside: OutsideFacts = {
  model: { refusal: null, isScripted: false, host: 'model.example', error: null },
  registries: { count: 3, warnings: [] },
  certificates: [],
}

interface Changes {
  machine?: Partial<MachineFacts>
  isolation?: Partial<IsolationFacts>
  errand?: Partial<ErrandFacts>
  outside?: Partial<OutsideFacts>
}

function look(changes: Changes = {}) {
  const facts: Facts = {
    machine: { ...machine, ...changes.machine },
    isolation: { ...isolation, ...changes.isolation },
    errand: { ...errand, ...changes.errand },
    outside: { ...outside, ...changes.outside },
  }
  const diagnosis = diagnose(facts)
  return {
    ...diagnosis,
    get: (name: string) => diagnosis.checks.find((check) => check.name === name),
    not: diagnosis.checks.filter(({ ok }) => ok !== 'ok').map(({ name }) => name),
    text: renderDiagnosis(diagnosis),
  }
}

const without = (name: string) => ({
  machine: {
    programs: Object.fromEntries(Object.entries(machine.programs).filter(([key]) => key !== name)),
  },
})
const DELEGATED = { isUnified: true, controllers: ['cpu', 'memory', 'pids'], hasBus: true }
const withDelegation = (change: Partial<typeof DELEGATED>): Partial<IsolationFacts> => ({
  cgroups: { ...isolation.cgroups, delegation: { ...DELEGATED, ...change } },
})
const user: Partial<IsolationFacts> = {
  ...{ isRoot: false, idmappedMounts: null, network: null },
  ...withDelegation({}),
}

describe('doctor', () => {
  it('finds nothing to mend on a machine that has everything', () => {
    const { ok, not, isolation: verdict, text } = look()
    expect({ ok, not, level: verdict.level }).toEqual({ ok: true, not: [], level: 'container' })
    expect(text).not.toContain('fix:')
    expect(text).toMatch(
      /\nIsolation: container \(runc, own user namespace, seccomp\)\nSessions can run here\.\n$/,
    )
  })

  it.each([
    ['git', 'git', 'git'],
    ['nft', 'nft', 'nftables'],
    ['mkfs.ext4', 'mkfs.ext4', 'e2fsprogs'],
    ['runc', 'runc', 'runc'],
  ])('says how to install %s where it is missing', (program, name, packageName) => {
    const found = look(without(program))
    expect(found.ok).toBe(false)
    expect(found.get(name)).toMatchObject({
      ok: 'bad',
      found: 'missing',
      fix: `apt-get install -y --no-install-recommends ${packageName}`,
    })
    expect(found.isolation.level).toBe('none')
    expect(found.text).toContain(`Sessions cannot run here: ${name}.`)
  })

  it.each([
    ['system', { machine: { platform: 'darwin', arch: 'arm64' } }],
    ['system', { machine: { arch: 'riscv64' } }],
    ['kernel', { machine: { kernel: '5.10.0-8-amd64' } }],
    ['node', { machine: { nodeVersion: '22.9.0' } }],
    ['git', { machine: { versions: { git: 'git version 2.30.2' } } }],
    ['user namespaces', { isolation: { maxUserNamespaces: 0 } }],
    ['user namespaces', { isolation: { userNamespace: { error: 'Operation not permitted' } } }],
    [
      'control groups',
      { isolation: { cgroups: { layout: 'none', controllers: [], delegation: null } } },
    ],
    ['seccomp', { isolation: { hasSeccomp: false } }],
    ['overlay', { isolation: { hasOverlay: false } }],
    ['loop devices', { isolation: { loop: 'missing' } }],
    ['address translation', { isolation: { network: { error: 'No such file or directory' } } }],
    ['code', { errand: { codeReadableByOthers: false } }],
    ['data folder', { errand: { dataDir: { ...errand.dataDir, isWritable: false } } }],
    ['data folder', { errand: { dataDir: { ...errand.dataDir, refusal: 'It is no folder.' } } }],
    ['disk', { errand: { dataDir: { ...errand.dataDir, freeBytes: 2 ** 20 } } }],
    ['disk', { errand: { dataDir: { ...errand.dataDir, freeInodes: 5 } } }],
    ['socket paths', { errand: { socketPathError: 'too long' } }],
    ['database', { errand: { database: { kind: 'url', version: null, error: 'ECONNREFUSED' } } }],
  ] satisfies [string, Changes][])('lets no session run for want of: %s', (name, changes) => {
    const found = look(changes)
    expect(found.not).toEqual([name])
    expect(found.get(name)).toMatchObject({ ok: 'bad' })
    expect(found.ok).toBe(false)
  })

  it.each([
    ['memory', { machine: { memoryBytes: 2 ** 30 } }],
    ['clock', { machine: { clock: { now: new Date(0), elsewhere: null } } }],
    [
      'clock',
      {
        machine: {
          clock: { now: NOW, elsewhere: { where: 'the database', now: new Date(+NOW + 120_000) } },
        },
      },
    ],
    ['newuidmap', without('newuidmap')],
    ['mounts with other owners', { isolation: { idmappedMounts: { error: 'refused' } } }],
    ['packages', { errand: { built: false } }],
    ['disk', { errand: { dataDir: { ...errand.dataDir, freeBytes: 2 ** 30 } } }],
    ['port', { errand: { port: { host: '127.0.0.1', port: 7777, state: 'taken' } } }],
    ['port', { errand: { port: { host: '203.0.113.7', port: 7777, state: 'elsewhere' } } }],
    ['variables', { errand: { unknownVariables: ['ERRAND_STANDBY'] } }],
    ['running', { errand: { instance: { state: 'foreign' } } }],
    ['model key', { outside: { model: { ...outside.model, refusal: 'no key is set' } } }],
    ['model endpoint', { outside: { model: { ...outside.model, error: 'ENOTFOUND' } } }],
    ['package registries', { outside: { registries: { count: 1, warnings: ['apt is silent'] } } }],
    ['extra certificates', { outside: { certificates: [{ path: '/ca.pem', error: 'ENOENT' }] } }],
  ] satisfies [string, Changes][])('warns of %s and lets sessions run', (name, changes) => {
    const found = look(changes)
    expect(found.not).toEqual([name])
    expect(found.ok).toBe(true)
    expect(found.text).toContain('Sessions can run here.')
  })

  it('takes control groups of both versions, and of version 1', () => {
    for (const layout of ['hybrid', 'v1'] as const) {
      const controllers = ['blkio', 'cpu', 'cpuacct', 'memory', 'pids', 'unified']
      expect(look({ isolation: { cgroups: { layout, controllers, delegation: null } } }).ok).toBe(
        true,
      )
    }
    const cgroups = { layout: 'v1' as const, controllers: ['cpu', 'memory'], delegation: null }
    expect(look({ isolation: { cgroups } }).get('control groups')?.found).toBe(
      'version 1 without pids',
    )
  })

  it('tells an ordinary user that sandboxes need root where this version has no others', () => {
    const found = look({ isolation: { ...user, rootless: false }, errand: { isRoot: false } })
    expect(found.not).toEqual(['rights'])
    expect(found.get('rights')?.fix).toBe('sudo ./errand up')
    expect(found.isolation).toEqual({ level: 'none', line: 'none: rights, an ordinary user' })
  })

  it.each([
    [
      'user namespaces',
      'kernel.apparmor_restrict_unprivileged_userns=0',
      { apparmorRestrictsUserns: 1, userNamespace: { error: 'Permission denied' } },
    ],
    [
      'user namespaces',
      'kernel.unprivileged_userns_clone=1',
      { unprivilegedUserns: 0, userNamespace: { error: 'Operation not permitted' } },
    ],
    ['subordinate ids', 'usermod --add-subuids', { subordinateIds: { uids: 0, gids: 0 } }],
    [
      'delegated control groups',
      'Delegate=cpu memory pids',
      withDelegation({ controllers: ['memory', 'pids'] }),
    ],
    ['delegated control groups', 'dbus-user-session', withDelegation({ hasBus: false })],
    [
      'delegated control groups',
      'systemd.unified_cgroup_hierarchy=1',
      withDelegation({ isUnified: false }),
    ],
  ] satisfies [string, string, Partial<IsolationFacts>][])(
    'tells an ordinary user about %s: %s',
    (name, fix, changes) => {
      const found = look({ isolation: { ...user, ...changes }, errand: { isRoot: false } })
      expect(found.not).toEqual([name])
      expect(found.get(name)?.fix).toContain(fix)
      expect(found.ok).toBe(false)
      const now = look({ isolation: { ...user, ...changes, rootless: false } })
      expect(now.get(name)?.ok).toBe('warn')
    },
  )

  it('says of an ordinary user who goes without limits that sessions can run', () => {
    const facts = { ...user, ...withDelegation({ isUnified: false }), allowUnlimited: true }
    const found = look({ isolation: facts, errand: { isRoot: false } })
    expect(found.not).toEqual(['delegated control groups'])
    expect(found).toMatchObject({ ok: true, isolation: { level: 'container' } })
  })

  it('tells a user without a name, as of a container, that it needs one', () => {
    const found = look({ isolation: { ...user, userName: null }, errand: { isRoot: false } })
    expect(found.not).toEqual(['rights'])
    expect(found.get('rights')).toMatchObject({ ok: 'bad', found: 'a user without a name' })
    expect(found.get('rights')?.fix).toContain('useradd --uid')
  })

  it('takes no other program for a runtime', () => {
    const versions = { ...machine.versions, runc: 'ls (GNU coreutils) 9.1' }
    const found = look({ machine: { versions } })
    expect(found).toMatchObject({ ok: false, isolation: { level: 'none' } })
    expect(found.get('runc')?.fix).toContain('ERRAND_OCI_RUNTIME')
  })

  it('gives an ordinary user a container where everything is there', () => {
    const found = look({ isolation: user, errand: { isRoot: false } })
    expect(found).toMatchObject({ ok: true, not: [], isolation: { level: 'container' } })
  })

  it('looks at an installation that runs', () => {
    const running = {
      state: 'running' as const,
      url: 'http://127.0.0.1:7777',
      version: '0.1.0',
      silent: [] as string[],
      isolation: 'container: crun, own user namespace, seccomp',
    }
    const port = { host: '127.0.0.1', port: 7777, state: 'errand' as const }
    const found = look({ errand: { instance: running, port } })
    expect(found.not).toEqual([])
    expect(found.isolation.line).toBe('container (crun, own user namespace, seccomp)')
    const silent = look({ errand: { instance: { ...running, silent: ['gitd'] }, port } })
    expect(silent.get('running')).toMatchObject({ ok: 'bad' })
    const older = look({ errand: { instance: { ...running, version: '0.0.9' }, port } })
    expect(older.get('running')).toMatchObject({ ok: 'warn' })
  })

  it('shows what programs said without letting them act on the terminal', () => {
    const found = look({ isolation: { network: { error: 'bad \u001b[2J\nnews' } } })
    expect(found.text).not.toContain('\u001b')
  })
})
