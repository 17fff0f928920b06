import { describe, expect, it } from 'vitest'
import { newSpec } from '../conformance/conformance-cases.ts'
import { ociConfig, readOnlyBind } from './oci-config.ts'
import { seccompProfile } from './seccomp.ts'

const counted = { version: 1, swap: true, control: 'root' } as const
const machine = { arch: 'x64', cgroups: counted, maxOpenFiles: 20_000 }
const base = { uidBase: 0x10000000, root: '/run/x/root', mounts: [], machine }

describe('ociConfig', () => {
  it('has every namespace and maps root to a range of its own', () => {
    const { linux } = ociConfig({ spec: newSpec(), ...base })
    expect(linux.namespaces.map(({ type }) => type).toSorted()).toEqual(
      ['cgroup', 'ipc', 'mount', 'network', 'pid', 'user', 'uts'].toSorted(),
    )
    const expected = [{ containerID: 0, hostID: 0x10000000, size: 65536 }]
    expect([linux.uidMappings, linux.gidMappings]).toEqual([expected, expected])
  })

  it('gives no right over the machine, and no new ones', () => {
    const { process } = ociConfig({ spec: newSpec(), ...base })
    expect(process.noNewPrivileges).toBe(true)
    for (const set of Object.values(process.capabilities))
      expect(set.join(' ')).not.toMatch(/SYS_ADMIN|NET_ADMIN|SYS_PTRACE|SYS_MODULE|DAC_READ_SEARCH/)
  })

  it('limits memory without swap, processor and processes', () => {
    const limits = { memoryBytes: 2 ** 30, cpus: 1.5, processes: 99, diskBytes: 2 ** 30 }
    const { resources } = ociConfig({ spec: newSpec({ limits }), ...base }).linux
    expect(resources).toMatchObject({
      memory: { limit: 2 ** 30, swap: 2 ** 30 },
      cpu: { quota: 150_000, period: 100_000 },
      pids: { limit: 99 },
    })
    const cgroups = { ...counted, swap: false }
    const without = ociConfig({ spec: newSpec(), ...base, machine: { ...machine, cgroups } })
    expect(without.linux.resources?.memory).not.toHaveProperty('swap')
  })

  it('asks the systemd of an ordinary user for a scope with the same limits', () => {
    const cgroups = { version: 2, swap: true, control: 'systemd' } as const
    const spec = newSpec()
    const { linux } = ociConfig({ spec, ...base, machine: { ...machine, cgroups } })
    expect(linux.cgroupsPath).toBe(`errand.slice:errand:${spec.sessionId}`)
    expect(linux.resources).toEqual({
      memory: { limit: 512 << 20, swap: 512 << 20 },
      cpu: { quota: 100_000, period: 100_000 },
      pids: { limit: 128 },
    })
  })

  it('names no control group where none can be had', () => {
    const cgroups = { ...counted, control: 'none' } as const
    const config = ociConfig({ spec: newSpec(), ...base, machine: { ...machine, cgroups } })
    expect(config.linux).not.toHaveProperty('resources')
    expect(config.linux).not.toHaveProperty('cgroupsPath')
    expect(config.mounts.map(({ destination }) => destination)).not.toContain('/sys/fs/cgroup')
  })

  it('sets up the network before process 1 starts, and nothing starts when that fails', () => {
    const { hooks } = ociConfig({ spec: newSpec(), ...base })
    const [hook] = hooks.createContainer
    expect(hook?.args.at(-1)).toMatch(/^set -e\nip -batch -[\s\S]+\nexec nft -f -/)
  })

  it('never asks for more open files than it may have itself', () => {
    const { rlimits } = ociConfig({ spec: newSpec(), ...base }).process
    expect(rlimits[0]).toEqual({ type: 'RLIMIT_NOFILE', soft: 20_000, hard: 20_000 })
  })

  it('mounts what it is given after the rest, read-only', () => {
    const mounts = [readOnlyBind('/a', '/opt/a')]
    const config = ociConfig({ spec: newSpec(), ...base, mounts })
    expect(config.mounts.at(-1)).toMatchObject({ destination: '/opt/a', source: '/a' })
    expect(config.mounts.at(-1)?.options).toContain('ro')
  })
})

describe('seccompProfile', () => {
  const profile = seccompProfile('x64')
  const allowed = profile.syscalls.flatMap(({ names, action }) =>
    action === 'SCMP_ACT_ALLOW' ? names : [],
  )

  it('denies by default', () => {
    expect(profile.defaultAction).toBe('SCMP_ACT_ERRNO')
    const never = [
      'mount',
      'unshare',
      'setns',
      'bpf',
      'keyctl',
      'add_key',
      'init_module',
      'kexec_load',
    ]
    const more = [
      'reboot',
      'swapon',
      'pivot_root',
      'perf_event_open',
      'io_uring_setup',
      'userfaultfd',
    ]
    expect(allowed.filter((name) => [...never, ...more].includes(name))).toEqual([])
  })

  it('lets clone make processes, not namespaces, and hides clone3', () => {
    const clone = profile.syscalls.find(({ names }) => names.includes('clone'))
    expect(clone).toMatchObject({ args: [{ value: 0x7e020000, valueTwo: 0 }] })
    const clone3 = profile.syscalls.find(({ names }) => names.includes('clone3'))
    expect(clone3).toMatchObject({ action: 'SCMP_ACT_ERRNO', errnoRet: 38 })
  })

  it('names nothing twice in its list', () => {
    const names = profile.syscalls[0]?.names ?? []
    expect(new Set(names).size).toBe(names.length)
  })
})
