// Judges the machine and the programs on it. Pure.
import { type Check, checksOf, formatBytes, type MachineFacts } from './checks.ts'

const OLDEST_KERNEL = [5, 12] as const
const OLDEST_NODE = 24
const OLDEST_GIT = [2, 31] as const
const LITTLE_MEMORY = 2 * 2 ** 30
/** Tokens and certificates are refused when the clock is off by more. */
const CLOCK_LIMIT_MS = 60_000
const EARLIEST_NOW = Date.parse('2026-01-01T00:00:00Z')

interface Needed {
  program: string
  package: string
  why: string
}

const PROGRAMS: Needed[] = [
  { program: 'git', package: 'git', why: 'serves every clone and push' },
  { program: 'ip', package: 'iproute2', why: 'sets up the network inside a sandbox' },
  { program: 'nft', package: 'nftables', why: 'leads connections of a sandbox to the gateway' },
  { program: 'unshare', package: 'util-linux', why: 'keeps mounts of Errand to itself' },
  { program: 'setpriv', package: 'util-linux', why: 'drops rights of git on the host' },
  { program: 'mkfs.ext4', package: 'e2fsprogs', why: 'makes the disk of a sandbox' },
  { program: 'perl', package: 'perl-base', why: 'mounts and holds a sandbox' },
  { program: 'useradd', package: 'passwd', why: 'makes the users that the programs run as' },
  { program: 'tar', package: 'tar', why: 'backup and restore' },
]
const FOR_ORDINARY_USERS: Needed = {
  program: 'newuidmap',
  package: 'uidmap',
  why: 'gives sandboxes of ordinary users ids of their own',
}

export function judgeMachine(facts: MachineFacts): Check[] {
  return [
    judgeSystem(facts),
    judgeKernel(facts),
    judgeNode(facts),
    judgeMemory(facts),
    checksOf('machine').fine('processors', String(facts.cpus), 'sandboxes share them'),
    judgeClock(facts),
  ]
}

export function judgePrograms(facts: MachineFacts): Check[] {
  return [
    judgeRuntime(facts),
    ...PROGRAMS.map((needed) =>
      needed.program === 'git' ? judgeGit(facts, needed) : judgeProgram(facts, needed, 'bad'),
    ),
    judgeProgram(facts, FOR_ORDINARY_USERS, 'warn'),
  ]
}

function judgeSystem({ platform, arch }: MachineFacts): Check {
  const { fine, bad } = checksOf('machine')
  const found = `${platform} ${arch}`
  if (platform === 'linux' && (arch === 'x64' || arch === 'arm64'))
    return fine('system', found, 'Linux on x64 or arm64')
  return bad('system', found, {
    why: 'Sandboxes are made of what the Linux kernel offers, on x64 or arm64.',
    fix: 'Run Errand on such a machine, or in a virtual machine of that kind.',
  })
}

function judgeKernel({ kernel }: MachineFacts): Check {
  const { fine, bad } = checksOf('machine')
  if (isAtLeast(kernel, OLDEST_KERNEL))
    return fine('kernel', kernel, 'user namespaces and overlays')
  const why = `Kernel ${OLDEST_KERNEL.join('.')} or newer is needed.`
  return bad('kernel', kernel, { why, fix: 'Install a newer kernel and restart the machine.' })
}

function judgeNode({ nodeVersion }: MachineFacts): Check {
  const { fine, bad } = checksOf('machine')
  if (Number(nodeVersion.split('.')[0]) >= OLDEST_NODE)
    return fine('node', nodeVersion, 'runs every program of Errand')
  return bad('node', nodeVersion, {
    why: `Node.js ${OLDEST_NODE} or newer is needed.`,
    fix: 'Start Errand with ./errand, which brings its own.',
  })
}

function judgeMemory({ memoryBytes }: MachineFacts): Check {
  const { fine, warn } = checksOf('machine')
  const found = formatBytes(memoryBytes)
  if (memoryBytes >= LITTLE_MEMORY) return fine('memory', found, 'sandboxes share it')
  return warn('memory', found, {
    why: 'An agent and a build in one sandbox may need more.',
    fix: 'Give the machine at least 2 GiB.',
  })
}

function judgeClock({ clock: { now, elsewhere } }: MachineFacts): Check {
  const { fine, warn } = checksOf('machine')
  const found = now.toISOString()
  const offMs = elsewhere ? Math.abs(now.getTime() - elsewhere.now.getTime()) : 0
  if (now.getTime() >= EARLIEST_NOW && offMs <= CLOCK_LIMIT_MS)
    return fine(
      'clock',
      elsewhere ? `agrees with ${elsewhere.where}` : found,
      'log and certificates',
    )
  const other = elsewhere ? `, ${Math.round(offMs / 1000)} s off ${elsewhere.where}` : ''
  return warn('clock', `${found}${other}`, {
    why: 'Certificates and tokens are refused when the clock is wrong.',
    fix: 'timedatectl set-ntp true',
  })
}

function judgeRuntime({ ociRuntime, programs, versions }: MachineFacts): Check {
  const { fine, bad } = checksOf('programs')
  const why = 'starts the container of a sandbox'
  const said = versions[ociRuntime]
  if (said !== undefined && !/\b(runc|crun|runsc)\b/.test(said))
    return bad(ociRuntime, `is none of runc, crun and runsc: ${said}`, {
      why,
      fix: 'Correct ERRAND_OCI_RUNTIME, or unset it.',
    })
  if (programs[ociRuntime] !== undefined) return fine(ociRuntime, said ?? programs[ociRuntime], why)
  const name = ociRuntime.split('/').at(-1)
  const fix =
    name === 'runc' || name === 'crun'
      ? installLine(name)
      : 'Correct ERRAND_OCI_RUNTIME, or unset it.'
  return bad(ociRuntime, 'missing', { why, fix })
}

function judgeGit({ programs, versions }: MachineFacts, { why }: Needed): Check {
  const { fine, bad } = checksOf('programs')
  const version = /\d+\.\d+[.\d]*/.exec(versions.git ?? '')?.[0]
  if (programs.git === undefined || version === undefined)
    return bad('git', 'missing', { why, fix: installLine('git') })
  if (isAtLeast(version, OLDEST_GIT)) return fine('git', version, why)
  const needed = `git ${OLDEST_GIT.join('.')} or newer is needed: it ${why}.`
  return bad('git', version, { why: needed, fix: installLine('git') })
}

function judgeProgram(
  { programs }: MachineFacts,
  needed: Needed,
  otherwise: 'warn' | 'bad',
): Check {
  const checks = checksOf('programs')
  const { program, why } = needed
  const path = programs[program]
  if (path !== undefined) return checks.fine(program, path, why)
  return checks[otherwise](program, 'missing', { why, fix: installLine(needed.package) })
}

function installLine(name: string): string {
  return `apt-get install -y --no-install-recommends ${name}`
}

/** Of `6.18.44-something` the first two numbers count. */
function isAtLeast(version: string, [major, minor]: readonly [number, number]): boolean {
  const [a = 0, b = 0] = version.split('.').map((part) => Number.parseInt(part, 10))
  return a > major || (a === major && b >= minor)
}
