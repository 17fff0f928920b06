// How each control of git is left out: a setting that git is not given, or the scope that its hook does not ask for.
import type { RefRefusal } from '../../src/git/serving/push-scope.ts'
import type { PushGrants } from '../../src/protocol/session.ts'

export interface GitOff {
  /** Names of settings that no git is given. */
  settings?: RegExp
  /** In place of the scope of a push. */
  refuse?: (count: number) => (RefRefusal | undefined)[]
  /** Nothing is asked before a ref goes on to the upstream. */
  goesOut?: true
  /** What the owner granted of pushing. */
  grants?: PushGrants
  /** How much a small body may become. */
  unpacks?: number
  /** Which repository is meant is read from the path, where the socket would say it. */
  fromPath?: boolean
  /** Most memory of each git. */
  memoryBytes?: number
  /** Most memory of a git that has a limit of its own. */
  listingBytes?: number
  /** Large files are looked up in the repository of the other session. */
  otherFiles?: true
  /** Whatever was sent may have any name. */
  anyContent?: true
  /** It may have any size. */
  anySize?: true
}

export interface GitSwitch {
  both?: GitOff
  off: GitOff
}

const HIDDEN = /^receive\.hideRefs$/
const FORWARD_ONLY = /^receive\.denyNonFastForwards$/
/** Gitd's own hook among them, which refuses first. */
const HOOKS = /^core\.hooksPath$/
const DELETES = /^receive\.denyDeletes$/
const allow: GitOff['refuse'] = (count) => new Array<undefined>(count).fill(undefined)

const MIB = 1 << 20

export const GIT_SWITCHES: Record<string, GitSwitch> = {
  'other-ref': {
    both: { settings: HIDDEN, goesOut: true },
    off: { settings: HIDDEN, goesOut: true, refuse: allow },
  },
  'hidden-ref': {
    both: { refuse: allow, goesOut: true },
    off: { settings: HIDDEN, refuse: allow, goesOut: true },
  },
  'outward-ref': {
    both: { settings: HIDDEN, refuse: allow },
    off: { settings: HIDDEN, refuse: allow, goesOut: true },
  },
  'branch-rewriting': {
    both: { settings: FORWARD_ONLY },
    off: { settings: FORWARD_ONLY, grants: { branches: [], rewrite: true } },
  },
  'branch-deletion': {
    both: { settings: HOOKS },
    off: { settings: new RegExp(`${HOOKS.source}|${DELETES.source}`) },
  },
  'bad-objects': { off: { settings: /^receive\.fsckObjects$/ } },
  'packed-body': { off: { unpacks: 1 << 24 } },
  'push-size': { off: { settings: /^receive\.maxInputSize$/ } },
  'other-repository': { off: { fromPath: true } },
  'push-memory': { both: { memoryBytes: 64 * MIB }, off: {} },
  'tree-bomb': { both: { listingBytes: 16 * MIB }, off: {} },
  'large-file-content': { off: { anyContent: true } },
  'large-file-size': { off: { anySize: true } },
  'other-large-file': { off: { otherFiles: true } },
}
