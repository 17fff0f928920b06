// What `errand doctor` is made of: facts about a machine, which the probes gather, and checks, which pure functions judge
// from them. Nothing here asks the machine anything.
import type { DelegationFacts } from '../sandbox/rootless/rootless-limits.ts'

export interface Check {
  group: 'machine' | 'programs' | 'isolation' | 'errand' | 'outside'
  name: string
  /** `bad`: no session can run here as long as it is so. */
  ok: 'ok' | 'warn' | 'bad'
  found: string
  /** What it is needed for, or what follows from what was found. */
  why: string
  /** The command, or the change, that mends it. */
  fix: string | null
}

export interface MachineFacts {
  platform: string
  arch: string
  kernel: string
  nodeVersion: string
  uid: number
  cpus: number
  memoryBytes: number
  /** Path of each program that was found, by name. */
  programs: Record<string, string>
  /** What it said of its version, where it was asked. */
  versions: Record<string, string>
  /** Name or path of the OCI runtime that sandboxes use. */
  ociRuntime: string
  clock: { now: Date; elsewhere: { where: string; now: Date } | null }
}

export interface IsolationFacts {
  isRoot: boolean
  /** Null where the machine knows none for this user id. */
  userName: string | null
  /** Whether this version can make sandboxes for an ordinary user. */
  rootless: boolean
  /** Sandboxes may run where no limit can be set. */
  allowUnlimited: boolean
  /** kernel.unprivileged_userns_clone, where the kernel has it. */
  unprivilegedUserns: number | null
  maxUserNamespaces: number | null
  apparmorRestrictsUserns: number | null
  /** Tried for real. */
  userNamespace: Tried
  /** How many ids /etc/subuid and /etc/subgid give to this user. */
  subordinateIds: { uids: number; gids: number }
  cgroups: {
    layout: 'v2' | 'hybrid' | 'v1' | 'none'
    controllers: string[]
    /** Only asked for an ordinary user. */
    delegation: DelegationFacts | null
  }
  hasSeccomp: boolean
  hasOverlay: boolean
  loop: 'there' | 'missing'
  /** Tried for real where it takes root; null for an ordinary user. */
  idmappedMounts: Tried | null
  network: Tried | null
  kvm: 'usable' | 'closed' | 'missing'
}

/** `error` is what the program said; null when it worked. */
export interface Tried {
  error: string | null
}

export interface ErrandFacts {
  isRoot: boolean
  npmInstalled: boolean
  built: boolean
  agentThere: boolean
  codeDir: string
  codeReadableByOthers: boolean
  dataDir: {
    path: string
    exists: boolean
    /** Why what lies there cannot be used; null where it can, or where nothing does. */
    refusal: string | null
    isWritable: boolean
    othersMayEnter: boolean
    freeBytes: number
    /** Null where the file system does not count them. */
    freeInodes: number | null
  }
  /** Why no socket fits into the folder for sockets; null when they do. */
  socketPathError: string | null
  port: {
    host: string
    port: number
    state: 'free' | 'errand' | 'taken' | 'forbidden' | 'elsewhere'
  }
  database:
    | { kind: 'url'; version: string | null; error: string | null }
    | { kind: 'embedded'; version: string | null; error: string | null }
  instance:
    | { state: 'none' }
    | { state: 'foreign' }
    | { state: 'running'; url: string; version: string; silent: string[]; isolation: string | null }
  version: string
  /** Variables that begin as Errand's do and are none. */
  unknownVariables: string[]
}

export interface OutsideFacts {
  model: {
    /** Why model requests would be refused; null when a key or another way in is set. */
    refusal: string | null
    isScripted: boolean
    host: string
    /** Null when it answered, whatever its status. */
    error: string | null
  }
  registries: { count: number; warnings: string[] } | { error: string }
  certificates: { path: string; error: string | null }[]
}

export interface Facts {
  machine: MachineFacts
  isolation: IsolationFacts
  errand: ErrandFacts
  outside: OutsideFacts
}

/** For the checks of one group. */
export function checksOf(group: Check['group']) {
  return {
    fine: (name: string, found: string, why: string): Check => ({
      ...{ group, name, ok: 'ok', found, why, fix: null },
    }),
    warn: (name: string, found: string, more: { why: string; fix: string | null }): Check => ({
      ...{ group, name, ok: 'warn', found, ...more },
    }),
    bad: (name: string, found: string, more: { why: string; fix: string | null }): Check => ({
      ...{ group, name, ok: 'bad', found, ...more },
    }),
  }
}

export function formatBytes(bytes: number): string {
  const gib = bytes / 2 ** 30
  return gib >= 10 ? `${Math.round(gib)} GiB` : `${Math.round(gib * 10) / 10} GiB`
}
