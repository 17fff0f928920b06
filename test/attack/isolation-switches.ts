// How each control around a sandbox is left out: the configuration of the container without it. What a case needs on both
// sides, since two controls would hold the same attack, stands in `both`. Only canaries of the test are within reach then.
import type { Mount } from '../../src/sandbox/oci/oci-config.ts'
import type { SandboxSpec } from '../../src/sandbox/spec.ts'
import type { Canaries } from './canaries.ts'
import type { ChangeConfig, ContainerConfig } from './sandboxes.ts'

export interface IsolationSwitch {
  /** What is changed on both sides. */
  both?: (canaries: Canaries) => ChangeConfig
  off: (canaries: Canaries) => ChangeConfig
  spec?: (canaries: Canaries) => Partial<SandboxSpec>
}

type Change = (config: ContainerConfig) => ContainerConfig

const withMounts =
  (...mounts: Mount[]): Change =>
  (config) => ({ ...config, mounts: [...config.mounts, ...mounts] })

const withLinux =
  (change: object): Change =>
  (config) => ({ ...config, linux: { ...config.linux, ...change } })

const withProcess =
  (change: object): Change =>
  (config) => ({ ...config, process: { ...config.process, ...change } })

const withCapability =
  (name: string): Change =>
  (config) => {
    const set = [...config.process.capabilities.bounding, name]
    const capabilities = { bounding: set, effective: set, permitted: set }
    return withProcess({ capabilities })(config)
  }

const withoutMount =
  (...destinations: string[]): Change =>
  (config) => ({
    ...config,
    mounts: config.mounts.filter(({ destination }) => !destinations.includes(destination)),
  })

const withoutNamespace =
  (...names: string[]): Change =>
  (config) =>
    withLinux({
      namespaces: config.linux.namespaces.filter(({ type }) => !names.includes(type)),
    })(config)

const all =
  (...changes: Change[]): Change =>
  (config) =>
    changes.reduce((changed, change) => change(changed), config)

/** A folder of the host as it is, with what is mounted below it. */
function bind(source: string, destination: string, options: string[] = []): Mount {
  return { destination, type: 'bind', source, options: ['rbind', ...options] }
}

/** Root inside is root outside, with the few rights that a sandbox has. */
const withoutUserNamespace = all(
  withoutNamespace('user'),
  withLinux({ uidMappings: undefined, gidMappings: undefined }),
)
/** The kernel refuses a new one of these in a namespace that belongs to somebody else. */
const withoutProcessNamespace = all(
  withoutNamespace('pid'),
  withoutMount('/proc'),
  withMounts(bind('/proc', '/proc', ['ro'])),
)
const withoutNetworkNamespace = all(
  withoutNamespace('network'),
  withoutMount('/sys', '/sys/fs/cgroup'),
  withMounts(bind('/sys', '/sys', ['ro'])),
  (config) => ({ ...config, hooks: { createContainer: [] } }),
)
const withoutSeccomp = withLinux({ seccomp: undefined })

const limitsOf = (config: ContainerConfig, change: object): ContainerConfig =>
  withLinux({ resources: { ...config.linux.resources, ...change } })(config)

const MIB = 1 << 20

export const ISOLATION_SWITCHES: Record<string, IsolationSwitch> = {
  'host-file': {
    off: ({ hostDir }) => withMounts(bind(hostDir, hostDir)),
  },
  'host-root-file': {
    both: ({ hostDir }) => withMounts(bind(hostDir, '/mnt')),
    off: () => withoutUserNamespace,
  },
  'host-processes': { off: () => withoutProcessNamespace },
  'other-session-process': {
    both: () => withoutProcessNamespace,
    off: ({ processUid }) => {
      const ids = [{ containerID: 0, hostID: processUid, size: 65_536 }]
      return withLinux({ uidMappings: ids, gidMappings: ids })
    },
  },
  'shared-memory': {
    off: () => all(withoutNamespace('ipc'), withoutMount('/dev/mqueue')),
  },
  'system-calls': { off: () => withoutSeccomp },
  capabilities: {
    both: () => withoutSeccomp,
    off: () => withCapability('CAP_SYS_ADMIN'),
  },
  setuid: { off: () => withProcess({ noNewPrivileges: false }) },
  'kernel-settings': {
    both: () => withCapability('CAP_NET_ADMIN'),
    off: () => withLinux({ readonlyPaths: [] }),
  },
  'disk-names': { off: () => withLinux({ maskedPaths: [] }) },
  devices: {
    both: ({ hostDir }) => all(withoutUserNamespace, withMounts(bind(hostDir, '/mnt'))),
    off: () => (config) => limitsOf(config, { devices: [{ allow: true, access: 'rwm' }] }),
  },
  'core-dumps': {
    off: () => (config) =>
      withProcess({
        rlimits: config.process.rlimits.filter(({ type }) => type !== 'RLIMIT_CORE'),
      })(config),
  },
  'fork-bomb': { off: () => (config) => limitsOf(config, { pids: { limit: 2000 } }) },
  'memory-bomb': { off: () => (config) => limitsOf(config, { memory: { limit: 1024 * MIB } }) },
  'disk-filling': {
    off: () => (config) => config,
    spec: () => ({
      limits: { memoryBytes: 384 * MIB, cpus: 2, processes: 128, diskBytes: 512 * MIB },
    }),
  },
  'own-programs': {
    off: () => (config) => ({
      ...config,
      mounts: config.mounts.map((mount) => {
        const options = mount.options.filter((option) => option !== 'ro')
        return mount.destination === '/opt/errand/runner' ? { ...mount, options } : mount
      }),
    }),
  },
  'other-door': {
    off: ({ otherDoor }) => withMounts(bind(otherDoor, otherDoor)),
  },
  'past-the-gateway': { off: () => withoutNetworkNamespace },
  'no-credential': {
    off:
      ({ secret }) =>
      (config) => {
        const { args, env } = config.process
        const told = { args: [...args, secret], env: [...env, `API_KEY=${secret}`] }
        return withProcess(told)(config)
      },
    spec: ({ secret }) => ({ sessionFile: JSON.stringify({ secret }) }),
  },
}
