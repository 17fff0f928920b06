// Looks at the machine for `errand doctor`. Everything that is tried is tried in a namespace of its own or in a folder that
// is removed at once; nothing is judged here.
import { constants } from 'node:fs'
import { access, mkdtemp, readdir, readFile, realpath, rm } from 'node:fs/promises'
import { availableParallelism, release, tmpdir, totalmem, userInfo } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import type { Config } from '../config.ts'
import { lastLines, runProcess } from '../lib/process.ts'
import { canShiftByMount } from '../sandbox/disks/owner-shift.ts'
import { linkCommands, redirectRules } from '../sandbox/oci/sandbox-network.ts'
import { readDelegation } from '../sandbox/rootless/rootless-limits.ts'
import type { IsolationFacts, MachineFacts, Tried } from './checks.ts'

const CGROUPS = '/sys/fs/cgroup'
/** Administration lies outside the PATH of ordinary users. */
const FOLDERS = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin']
const PROGRAMS = [
  ...['git', 'ip', 'nft', 'unshare', 'setpriv', 'mkfs.ext4', 'perl', 'useradd', 'tar'],
  'newuidmap',
]
const TRY_LIMIT_MS = 3_000
const TOOLS_ENV = { PATH: FOLDERS.join(delimiter), LC_ALL: 'C' }

export async function probeMachine({ ociRuntime }: Config): Promise<Omit<MachineFacts, 'clock'>> {
  const names = [...PROGRAMS, ociRuntime]
  const paths = await Promise.all(names.map(findProgram))
  const programs = Object.fromEntries(
    names.flatMap((name, index) => (paths[index] === undefined ? [] : [[name, paths[index]]])),
  )
  return {
    platform: process.platform,
    arch: process.arch,
    kernel: release(),
    nodeVersion: process.versions.node,
    uid: process.getuid?.() ?? -1,
    cpus: availableParallelism(),
    memoryBytes: totalmem(),
    programs,
    versions: await versionsOf([programs.git ? 'git' : '', programs[ociRuntime] ? ociRuntime : '']),
    ociRuntime,
  }
}

export async function probeIsolation({
  isRoot,
  dataDir,
  allowUnlimited,
}: Config): Promise<IsolationFacts> {
  const [userNamespace, idmappedMounts, network, cgroups, subordinateIds] = await Promise.all([
    tryProgram('unshare', ['--user', '--map-root-user', '--', 'true']),
    isRoot ? tryIdmap(dataDir) : null,
    isRoot ? tryNetwork() : null,
    probeCgroups(isRoot),
    probeSubordinateIds(),
  ])
  return {
    isRoot,
    userName: nameOfUser(),
    rootless: true,
    allowUnlimited,
    unprivilegedUserns: await readNumber('/proc/sys/kernel/unprivileged_userns_clone'),
    maxUserNamespaces: await readNumber('/proc/sys/user/max_user_namespaces'),
    apparmorRestrictsUserns: await readNumber(
      '/proc/sys/kernel/apparmor_restrict_unprivileged_userns',
    ),
    userNamespace,
    subordinateIds,
    cgroups,
    hasSeccomp: (await readText('/proc/sys/kernel/seccomp/actions_avail')).includes('errno'),
    // Trying mounts with other owners has loaded what can be loaded.
    hasOverlay: /^nodev\toverlay$/m.test(await readText('/proc/filesystems')) || !isRoot,
    loop: (await isAccessible('/dev/loop-control', constants.F_OK)) ? 'there' : 'missing',
    idmappedMounts,
    network,
    kvm: await probeKvm(),
  }
}

async function findProgram(name: string): Promise<string | undefined> {
  const candidates = name.includes('/') ? [name] : FOLDERS.map((folder) => join(folder, name))
  for (const path of candidates) if (await isAccessible(path, constants.X_OK)) return path
  return undefined
}

async function versionsOf(names: string[]): Promise<Record<string, string>> {
  const asked = names.filter((name) => name !== '')
  const answers = await Promise.all(
    asked.map(async (name) => {
      const { stdout } = await run(name, ['--version'])
      return [name, stdout.split('\n')[0]?.trim() ?? '']
    }),
  )
  return Object.fromEntries(answers)
}

async function tryNetwork(): Promise<Tried> {
  const inside = ['--net', '--']
  const rules = await tryProgram('unshare', [...inside, 'nft', '-f', '-'], redirectRules())
  if (rules.error !== null) return rules
  return tryProgram('unshare', [...inside, 'ip', '-batch', '-'], linkCommands())
}

/** On the file system that will hold the images. */
async function tryIdmap(dataDir: string): Promise<Tried> {
  const scratch = await mkdtemp(join(tmpdir(), 'errand-doctor-'))
  try {
    const works = await canShiftByMount(await nearestFolder(dataDir), join(scratch, 'probe'))
    return { error: works ? null : 'the kernel or the file system refuses' }
  } catch (error) {
    return { error: String(error) }
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
}

/** The folder itself, or the lowest one above it that is there. */
export async function nearestFolder(path: string): Promise<string> {
  try {
    return await realpath(path)
  } catch (error) {
    if (path === dirname(path)) throw error
    return nearestFolder(dirname(path))
  }
}

async function probeCgroups(isRoot: boolean): Promise<IsolationFacts['cgroups']> {
  const delegation = isRoot ? null : await readDelegation(process.getuid?.() ?? -1)
  const unified = await readText(join(CGROUPS, 'cgroup.controllers'))
  if (unified !== '') return { layout: 'v2', controllers: unified.trim().split(' '), delegation }
  const names: string[] = await readdir(CGROUPS).catch(() => [])
  const controllers = names.flatMap((name) => name.split(','))
  const layout = !names.includes('memory') ? 'none' : names.includes('unified') ? 'hybrid' : 'v1'
  return { layout, controllers, delegation }
}

async function probeSubordinateIds(): Promise<IsolationFacts['subordinateIds']> {
  const names = [nameOfUser(), String(process.getuid?.())]
  const count = async (path: string) => {
    const lines = (await readText(path)).split('\n').map((line) => line.split(':'))
    const own = lines.filter(([name = '']) => names.includes(name))
    return own.reduce((sum, [, , size]) => sum + (Number(size) || 0), 0)
  }
  return { uids: await count('/etc/subuid'), gids: await count('/etc/subgid') }
}

function nameOfUser(): string | null {
  try {
    return userInfo().username
  } catch {
    return null
  }
}

async function probeKvm(): Promise<IsolationFacts['kvm']> {
  if (!(await isAccessible('/dev/kvm', constants.F_OK))) return 'missing'
  return (await isAccessible('/dev/kvm', constants.R_OK | constants.W_OK)) ? 'usable' : 'closed'
}

async function tryProgram(command: string, args: string[], input?: string): Promise<Tried> {
  const { exitCode, stdout, stderr } = await run(command, args, input)
  if (exitCode === 0) return { error: null }
  return { error: lastLines(stderr || stdout, 2).replaceAll('\n', '; ') || `exit code ${exitCode}` }
}

async function run(command: string, args: string[], input?: string) {
  const signal = AbortSignal.timeout(TRY_LIMIT_MS)
  try {
    return await runProcess(command, args, { env: TOOLS_ENV, signal, input })
  } catch (error) {
    return { exitCode: -1, stdout: '', stderr: String(error) }
  }
}

async function readNumber(path: string): Promise<number | null> {
  const text = (await readText(path)).trim()
  return text === '' ? null : Number(text)
}

/** Empty where there is no such file, or none that this user may read. */
async function readText(path: string): Promise<string> {
  return readFile(path, 'utf8').catch(() => '')
}

async function isAccessible(path: string, mode: number): Promise<boolean> {
  return access(path, mode).then(
    () => true,
    () => false,
  )
}
