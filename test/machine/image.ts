// The disk of the test machine: a small Debian with systemd, made once and kept. Root makes it, from the distribution's
// packages and the files in guest/.
import { createHash } from 'node:crypto'
import {
  copyFile,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import { runChecked } from '../../src/lib/process.ts'
import { exists } from '../../src/sandbox/files.ts'

const CACHE = '/var/cache/errand-machine'
const GUEST = join(import.meta.dirname, 'guest')
/** Of Debian's package user-mode-linux. */
const KERNEL_MODULES = '/usr/lib/uml/modules'
const MODULES = ['overlay', 'iptable_nat', 'xt_nat', 'xt_tcpudp', 'loop']
const PACKAGES = [
  ...['systemd-sysv', 'dbus-user-session', 'libpam-systemd', 'kmod', 'passwd', 'perl-base'],
  ...['runc', 'uidmap', 'iproute2', 'iptables', 'git', 'e2fsprogs', 'util-linux', 'procps'],
  ...['ca-certificates', 'libstdc++6'],
]
const UNUSED = ['doc', 'man', 'locale', 'info'].map((name) => `/usr/share/${name}/*`)
/** There is no hardware, and nobody logs in. */
const MASKED = ['systemd-udevd.service', 'getty.target', 'systemd-networkd.service']
const DISK_SIZE = '6G'

/** Resolves with its path. A change of what it is made of makes another one. */
export async function makeImage(): Promise<string> {
  const [version = ''] = await readdir(KERNEL_MODULES)
  const path = join(CACHE, `${await digest(version)}.img`)
  if (await exists(path)) return path
  await rm(CACHE, { recursive: true, force: true })
  const root = join(CACHE, 'root')
  await mkdir(CACHE, { recursive: true })
  await unpackSystem(root)
  await addKernelModules(root, version)
  await addGuestFiles(root)
  const unfinished = `${path}.new`
  await runChecked('mke2fs', [
    ...['-q', '-t', 'ext4', '-O', '^has_journal', '-E', 'lazy_itable_init=1'],
    ...['-d', root, unfinished, DISK_SIZE],
  ])
  await rm(root, { recursive: true })
  await rename(unfinished, path)
  return path
}

async function digest(version: string): Promise<string> {
  const hash = createHash('sha256').update(version)
  hash.update(await readFile(import.meta.filename))
  for (const name of (await readdir(GUEST)).sort()) hash.update(await readFile(join(GUEST, name)))
  return hash.digest('hex').slice(0, 16)
}

async function unpackSystem(root: string): Promise<void> {
  const codename = /^VERSION_CODENAME=(\w+)$/m.exec(await readFile('/etc/os-release', 'utf8'))?.[1]
  await runChecked('mmdebstrap', [
    ...['--variant=minbase', `--include=${PACKAGES.join(',')}`],
    ...UNUSED.map((path) => `--dpkgopt=path-exclude=${path}`),
    ...[codename ?? 'stable', root],
  ])
}

async function addKernelModules(root: string, version: string): Promise<void> {
  const target = join(root, 'usr/lib/modules', version)
  await mkdir(join(root, 'usr/lib/modules'), { recursive: true })
  await runChecked('cp', ['-a', join(KERNEL_MODULES, version), target])
  await runChecked('chroot', [root, 'depmod', version])
  await writeFile(join(root, 'etc/modules-load.d/errand.conf'), `${MODULES.join('\n')}\n`)
}

async function addGuestFiles(root: string): Promise<void> {
  for (const name of ['code', 'node', 'share'])
    await mkdir(join(root, 'errand', name), { recursive: true })
  const programs = join(root, 'usr/local/sbin')
  for (const name of ['nft', 'errand-command'])
    await copyFile(join(GUEST, name), join(programs, name))
  const units = join(root, 'etc/systemd/system')
  const unit = 'errand-command.service'
  await copyFile(join(GUEST, unit), join(units, unit))
  for (const name of MASKED) await symlink('/dev/null', join(units, name))
}
