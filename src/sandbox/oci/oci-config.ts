// The OCI configuration of a sandbox: namespaces, rights, limits and mounts. Pure; oci-launch.ts writes it down.
// What it does not protect against: a flaw in the host's kernel, which all containers share with it.
import { SANDBOX_PATHS } from '../../protocol/network.ts'
import { PROCESS_ONE, SANDBOX_ENVIRONMENT } from '../../protocol/process-one.ts'
import type { SandboxSpec } from '../spec.ts'
import { type CgroupFeatures, cgroupsPath } from './cgroups.ts'
import { RANGE_SIZE } from './id-ranges.ts'
import { networkHook } from './sandbox-network.ts'
import { seccompProfile } from './seccomp.ts'

/** The container world's default set; all of them count inside the sandbox's own user namespace only. */
const CAPABILITIES = [
  'CAP_CHOWN',
  'CAP_DAC_OVERRIDE',
  'CAP_FSETID',
  'CAP_FOWNER',
  'CAP_MKNOD',
  'CAP_NET_RAW',
  'CAP_SETGID',
  'CAP_SETUID',
  'CAP_SETFCAP',
  'CAP_SETPCAP',
  'CAP_NET_BIND_SERVICE',
  'CAP_SYS_CHROOT',
  'CAP_KILL',
  'CAP_AUDIT_WRITE',
]

/** The block devices are masked beyond the default because they tell names of other sandboxes' disks. */
const MASKED = [
  '/proc/acpi',
  '/proc/asound',
  '/proc/interrupts',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/sched_debug',
  '/proc/scsi',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/sys/devices/virtual/block',
  '/sys/devices/virtual/powercap',
  '/sys/firmware',
  '/sys/fs/ext4',
]
const READ_ONLY = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger']

/** CPU time is handed out in slices of this many microseconds. */
const CPU_PERIOD = 100_000
const MAX_OPEN_FILES = 1 << 20
const SOFT_OPEN_FILES = 1 << 16

export interface Mount {
  destination: string
  type: string
  source: string
  options: string[]
}

export interface OciConfigInput {
  spec: SandboxSpec
  uidBase: number
  root: string
  /** Mounts that the image, the programs and the door need, after the usual ones. */
  mounts: Mount[]
  machine: { arch: string; cgroups: CgroupFeatures; maxOpenFiles: number }
}

/** Writes the configuration of one container; the drivers are given `ociConfig`. */
export type MakeConfig = (input: OciConfigInput) => object

export function ociConfig({ spec, uidBase, root, mounts, machine }: OciConfigInput) {
  const ids = [{ containerID: 0, hostID: uidBase, size: RANGE_SIZE }]
  const namespaces = ['user', 'mount', 'pid', 'network', 'ipc', 'uts', 'cgroup']
  return {
    ociVersion: '1.0.2',
    hostname: spec.hostname,
    root: { path: root, readonly: false },
    process: processPart(machine.maxOpenFiles),
    mounts: [...usualMounts(spec, machine.cgroups), ...mounts],
    hooks: { createContainer: [networkHook()] },
    linux: {
      namespaces: namespaces.map((type) => ({ type })),
      uidMappings: ids,
      gidMappings: ids,
      ...limitsPart(spec, machine.cgroups),
      seccomp: seccompProfile(machine.arch),
      maskedPaths: MASKED,
      readonlyPaths: READ_ONLY,
    },
  }
}

function processPart(maxOpenFiles: number) {
  const hard = Math.min(maxOpenFiles, MAX_OPEN_FILES)
  return {
    terminal: false,
    user: { uid: 0, gid: 0 },
    args: ['/bin/sh', '-c', PROCESS_ONE],
    env: Object.entries(SANDBOX_ENVIRONMENT).map(([name, value]) => `${name}=${value}`),
    cwd: SANDBOX_PATHS.workspace,
    capabilities: {
      bounding: CAPABILITIES,
      effective: CAPABILITIES,
      permitted: CAPABILITIES,
    },
    noNewPrivileges: true,
    // A machine that runs short of memory ends sandboxes before its own programs.
    oomScoreAdj: 300,
    rlimits: [
      { type: 'RLIMIT_NOFILE', soft: Math.min(hard, SOFT_OPEN_FILES), hard },
      { type: 'RLIMIT_CORE', soft: 0, hard: 0 },
    ],
  }
}

function limitsPart({ sessionId, limits }: SandboxSpec, cgroups: CgroupFeatures) {
  if (cgroups.control === 'none') return {}
  const swap = cgroups.swap ? { swap: limits.memoryBytes } : {}
  // Nobody but root has a say over devices; without root there are none to open in a user namespace.
  const devices = cgroups.control === 'root' ? { devices: [{ allow: false, access: 'rwm' }] } : {}
  return {
    cgroupsPath: cgroupsPath(sessionId, cgroups),
    resources: {
      ...devices,
      memory: { limit: limits.memoryBytes, ...swap },
      cpu: { quota: Math.round(limits.cpus * CPU_PERIOD), period: CPU_PERIOD },
      pids: { limit: limits.processes },
    },
  }
}

function usualMounts({ limits }: SandboxSpec, { control }: CgroupFeatures): Mount[] {
  const shm = Math.floor(limits.memoryBytes / 2)
  const readOnly = ['nosuid', 'noexec', 'nodev', 'relatime', 'ro']
  const controlGroups = mount('/sys/fs/cgroup', 'cgroup', readOnly)
  return [
    mount('/proc', 'proc', ['nosuid', 'noexec', 'nodev']),
    mount('/dev', 'tmpfs', ['nosuid', 'strictatime', 'mode=755', 'size=65536k']),
    mount('/dev/pts', 'devpts', [
      'nosuid',
      'noexec',
      'newinstance',
      'ptmxmode=0666',
      'mode=0620',
      'gid=5',
    ]),
    mount('/dev/shm', 'tmpfs', ['nosuid', 'noexec', 'nodev', 'mode=1777', `size=${shm}`]),
    mount('/dev/mqueue', 'mqueue', ['nosuid', 'noexec', 'nodev']),
    mount('/sys', 'sysfs', ['nosuid', 'noexec', 'nodev', 'ro']),
    ...(control === 'none' ? [] : [controlGroups]),
    mount('/run', 'tmpfs', ['nosuid', 'nodev', 'mode=755', `size=${shm}`]),
  ]
}

function mount(destination: string, type: string, options: string[]): Mount {
  return { destination, type, source: type, options }
}

/** A file or folder of the host, read-only. Sockets below it can be connected to. */
export function readOnlyBind(source: string, destination: string): Mount {
  return { destination, type: 'bind', source, options: ['bind', 'ro', 'nosuid', 'nodev'] }
}

/** Nothing, where the host has something. */
export function emptyFolder(destination: string): Mount {
  return {
    destination,
    type: 'tmpfs',
    source: 'tmpfs',
    options: ['nosuid', 'nodev', 'noexec', 'ro', 'mode=755', 'size=4k'],
  }
}
