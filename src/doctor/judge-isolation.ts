// Judges what a machine offers to keep sandboxes apart from it and from each other, and which isolation follows. Pure.
import { missingLimits } from '../sandbox/rootless/rootless-limits.ts'
import { type Check, checksOf, type IsolationFacts } from './checks.ts'

/** What limits of a sandbox are made of. */
const CONTROLLERS = ['cpu', 'memory', 'pids']
const IDS_OF_A_SANDBOX = 65_536

export function judgeIsolation(facts: IsolationFacts): Check[] {
  const everybody = [
    judgeUser(facts),
    judgeUserNamespaces(facts),
    judgeCgroups(facts),
    judgeSeccomp(facts),
    judgeOverlay(facts),
  ]
  const kvm = judgeKvm(facts)
  if (!facts.isRoot) return [...everybody, judgeSubordinateIds(facts), judgeDelegation(facts), kvm]
  return [...everybody, judgeLoop(facts), judgeIdmap(facts), judgeNetwork(facts), kvm]
}

/** What only sandboxes of ordinary users need is a warning where there can be none of them anyway. */
function closedBy({ isRoot, rootless }: IsolationFacts) {
  const { warn, bad } = checksOf('isolation')
  return isRoot || rootless ? bad : warn
}

export interface IsolationVerdict {
  level: 'container' | 'none'
  line: string
}

/** `running` is what sandboxd of a running installation says of itself. */
export function isolationVerdict(
  checks: Check[],
  { ociRuntime, running }: { ociRuntime: string; running: string | null },
): IsolationVerdict {
  if (running?.startsWith('container: '))
    return { level: 'container', line: `container (${running.slice('container: '.length)})` }
  const missing = checks.find(({ ok, group }) => ok === 'bad' && group !== 'errand')
  if (missing) return { level: 'none', line: `none: ${missing.name}, ${missing.found}` }
  const runtime = ociRuntime.split('/').at(-1)
  return { level: 'container', line: `container (${runtime}, own user namespace, seccomp)` }
}

function judgeUser({ isRoot, userName, rootless }: IsolationFacts): Check {
  const { fine, bad } = checksOf('isolation')
  const name = 'rights'
  if (isRoot) return fine(name, 'root', 'every program of Errand runs as a user of its own')
  if (userName === null)
    return bad(name, 'a user without a name', {
      why: 'The database and the ids of sandboxes are given to a user by name.',
      fix: 'useradd --uid "$(id -u)" errand-user, as root, or use a user that has a name.',
    })
  if (rootless) return fine(name, 'an ordinary user', 'every program of Errand runs as this user')
  return bad(name, 'an ordinary user', {
    why: 'Sandboxes need root for now; everything else works, and no session can start.',
    fix: 'sudo ./errand up',
  })
}

function judgeUserNamespaces(facts: IsolationFacts): Check {
  const { fine, bad } = checksOf('isolation')
  const name = 'user namespaces'
  const why = 'root inside a sandbox is nobody outside'
  if (facts.maxUserNamespaces === 0)
    return bad(name, 'user.max_user_namespaces is 0', {
      why,
      fix: setting('user.max_user_namespaces=28633'),
    })
  if (facts.userNamespace.error === null) return fine(name, 'allowed', why)
  const closed = closedBy(facts)
  if (facts.unprivilegedUserns === 0)
    return closed(name, 'for root alone', {
      why,
      fix: setting('kernel.unprivileged_userns_clone=1'),
    })
  if (facts.apparmorRestrictsUserns)
    return closed(name, 'restricted by AppArmor', {
      why: `${why}; Ubuntu 24.04 and newer let only programs with a profile have them`,
      fix: setting('kernel.apparmor_restrict_unprivileged_userns=0'),
    })
  return closed(name, facts.userNamespace.error, { why, fix: null })
}

function judgeSubordinateIds(facts: IsolationFacts): Check {
  const { uids, gids } = facts.subordinateIds
  const { fine } = checksOf('isolation')
  const name = 'subordinate ids'
  const found = `${uids} users, ${gids} groups`
  const why = "ids for sandboxes that are neither yours nor anybody else's"
  if (Math.min(uids, gids) >= IDS_OF_A_SANDBOX) return fine(name, found, why)
  const range = `100000-${100_000 + IDS_OF_A_SANDBOX - 1}`
  const fix = `usermod --add-subuids ${range} --add-subgids ${range} "$USER"`
  return closedBy(facts)(name, found, { why, fix })
}

function judgeCgroups({ cgroups: { layout, controllers } }: IsolationFacts): Check {
  const { fine, bad } = checksOf('isolation')
  const name = 'control groups'
  const names = { v2: 'version 2', hybrid: 'versions 1 and 2', v1: 'version 1', none: 'none' }
  const missing = CONTROLLERS.filter((controller) => !controllers.includes(controller))
  const why = 'limits of memory, processors and processes'
  if (layout !== 'none' && missing.length === 0) return fine(name, names[layout], why)
  const found = layout === 'none' ? 'not mounted' : `${names[layout]} without ${missing.join(', ')}`
  const fix =
    layout === 'none'
      ? 'mount -t cgroup2 none /sys/fs/cgroup'
      : 'Boot the kernel with cgroup_enable=memory, or enable the controllers.'
  return bad(name, found, { why, fix })
}

function judgeDelegation(facts: IsolationFacts): Check {
  const { fine, warn } = checksOf('isolation')
  const { delegation } = facts.cgroups
  const missing = delegation ? missingLimits(delegation) : undefined
  const name = 'delegated control groups'
  const why = 'limits for sandboxes of an ordinary user'
  if (!missing) return fine(name, CONTROLLERS.join(', '), why)
  if (facts.allowUnlimited)
    return warn(name, `no limit of ${missing.names}, as ERRAND_ALLOW_UNLIMITED allows`, {
      why: 'A sandbox may take all of this machine.',
      fix: missing.mend,
    })
  return closedBy(facts)(name, `no limit of ${missing.names}: ${missing.why}`, {
    why,
    fix: `${missing.mend}; errand up --allow-unlimited goes without limits`,
  })
}

function judgeSeccomp({ hasSeccomp }: IsolationFacts): Check {
  const { fine, bad } = checksOf('isolation')
  const why = 'sandboxes may make system calls of a list only'
  if (hasSeccomp) return fine('seccomp', 'there', why)
  return bad('seccomp', 'missing', { why, fix: 'Use a kernel with CONFIG_SECCOMP_FILTER.' })
}

function judgeOverlay({ hasOverlay }: IsolationFacts): Check {
  const { fine, bad } = checksOf('isolation')
  const why = 'sandboxes share one image and write beside it'
  if (hasOverlay) return fine('overlay', 'there', why)
  return bad('overlay', 'missing', { why, fix: 'modprobe overlay' })
}

function judgeLoop({ loop }: IsolationFacts): Check {
  const { fine, bad } = checksOf('isolation')
  const why = 'the disk of a sandbox is a file of a fixed size'
  if (loop === 'there') return fine('loop devices', 'there', why)
  const fix = 'modprobe loop (in a container: run it with --privileged)'
  return bad('loop devices', 'missing', { why, fix })
}

function judgeIdmap({ idmappedMounts }: IsolationFacts): Check {
  const { fine, warn } = checksOf('isolation')
  const name = 'mounts with other owners'
  if (idmappedMounts?.error === null)
    return fine(name, 'work here', 'sandboxes share an image though each has ids of its own')
  return warn(name, 'do not work here', {
    why: 'Images of kind rootfs are copied once instead. It takes kernel 5.19 and a file system that can.',
    fix: 'Nothing needs to be done; a data folder on ext4, xfs or btrfs and a newer kernel save the copy.',
  })
}

function judgeNetwork({ network }: IsolationFacts): Check {
  const { fine, bad } = checksOf('isolation')
  const name = 'address translation'
  const why = 'connections inside are led to the gateway by nft rules'
  if (network?.error === null) return fine(name, 'works in a namespace', why)
  const fix =
    'modprobe nft_chain_nat nft_redir; use a kernel with CONFIG_NF_TABLES and CONFIG_NFT_NAT'
  return bad(name, network?.error ?? 'not tried', { why, fix })
}

function judgeKvm({ kvm }: IsolationFacts): Check {
  const found = { usable: 'there', closed: 'there, closed to this user', missing: 'not there' }[kvm]
  return checksOf('isolation').fine(
    'kvm',
    found,
    'for sandboxes that are virtual machines; not needed',
  )
}

function setting(assignment: string): string {
  return `sysctl -w ${assignment}`
}
