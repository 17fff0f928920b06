// Which files of the machine's /etc come into the image `host`. An allow-list of names, and of those only what every user
// of the machine may read anyway. What is not named here does not exist inside.
import type { Dirent } from 'node:fs'
import { lstat, readdir, readFile, readlink, realpath } from 'node:fs/promises'
import { join } from 'node:path'
import { runProcess } from '../../lib/process.ts'
import { exists, orWhenMissing } from '../files.ts'
import { file, folder, type LayerEntry, link } from './layer.ts'

/** Files that programs under /usr look for and that say nothing about this machine's secrets. */
const FILES =
  `adduser.conf bash.bashrc bindresvport.blacklist debconf.conf debian_version deluser.conf ethertypes
fedora-release gai.conf gprofng.rc host.conf inputrc issue ld.so.cache ld.so.conf libaudit.conf locale.alias locale.conf
locale.gen localtime login.defs lsb-release magic magic.mime mailcap manpath.config mime.types mke2fs.conf nanorc netconfig
networks os-release papersize profile protocols redhat-release rpc screenrc services shells system-release timezone
ucf.conf wgetrc xattr.conf zshrc default/locale default/useradd ssl/openssl.cnf ca-certificates.conf pam.conf`
    .trim()
    .split(/\s+/)

/** Folders, or beginnings of their names where a version follows. Credentials of Maven live in its settings. */
const FOLDERS =
  /^(alternatives|ld\.so\.conf\.d|\.?java(-.*)?|maven|gradle|ant|fonts|perl|python[\d.]*|ruby|groff|X11|terminfo|vim|xml|sgml|emacs|bash_completion\.d|skel|security|pam\.d|glvnd|vulkan|OpenCL|gtk-[\d.]+|ImageMagick-\d+|R|php|lynx|texmf|ghc|ghostscript|dictionaries-common|gdb|gss|iproute2|dpkg|postgresql-common|chromium|chromium\.d|crypto-policies|pki|openal|erlang|mono|zsh|nvim|debuginfod|dotnet)$/
const NEVER =
  /(^|\/)(settings[^/]*\.xml|private|secrets?|entitlement|consumer|[^/]*((?<!common-)password|credential|token|secret)[^/]*|[^/]*(\.key|[-.]key\.pem|\.p12|\.pfx|\.jks|\.keystore))$/i

const MAX_FILE_BYTES = 16 << 20
const MAX_DEPTH = 12

export async function readHostEtc(etc = '/etc'): Promise<LayerEntry[]> {
  const names = await readdir(etc)
  const wanted = [...FILES, ...names.filter((name) => FOLDERS.test(name)), 'ssl/certs']
  const parts = await Promise.all(wanted.map((name) => readEntry(etc, name, 0)))
  return parts.flat()
}

/** A file, link or folder below `etc` as entries of a layer; nothing when it is missing or not for everybody's eyes. */
export async function readEntry(etc: string, name: string, depth: number): Promise<LayerEntry[]> {
  const path = join(etc, name)
  const stats = await orWhenMissing(undefined, lstat(path))
  if (!stats || NEVER.test(name) || depth > MAX_DEPTH) return []
  const inside = `etc/${name}`
  if (stats.isSymbolicLink()) return [link(inside, await readlink(path))]
  if (stats.isFile()) {
    if ((stats.mode & 0o004) === 0 || stats.size > MAX_FILE_BYTES) return []
    return [file(inside, await readFile(path), 0o644 | (stats.mode & 0o111))]
  }
  if (!stats.isDirectory() || (stats.mode & 0o005) !== 0o005) return []
  const entries: Dirent[] = await readdir(path, { withFileTypes: true })
  const parts = await Promise.all(
    entries.map((entry) => readEntry(etc, `${name}/${entry.name}`, depth + 1)),
  )
  return [folder(inside), ...parts.flat()]
}

/** Links under /usr lead into /etc in places that no list foresees: each such file that a package put there comes along. */
export async function readLinkedFromUsr(known: Set<string>): Promise<LayerEntry[]> {
  const args = ['/usr', '-xdev', '-type', 'l', '-lname', '*etc/*', '-printf', '%h/%f\\0%l\\0']
  const { stdout } = await runProcess('find', args, { maxOutputBytes: 8 << 20 })
  const fields = stdout.split('\0')
  const targets = new Set<string>()
  for (let at = 0; at + 1 < fields.length; at += 2) {
    const target = fields[at + 1] ?? ''
    if (target.startsWith('/etc/')) targets.add(target.slice('/etc/'.length))
  }
  const missing = [...targets].filter((name) => !known.has(`etc/${name}`) && isHarmless(name))
  const parts = await Promise.all(missing.map((name) => readEntry('/etc', name, 0)))
  return parts.flat()
}

/** Last line of defence for what a link asks for; the mode of the file has to allow it as well. */
const NEVER_LINKED =
  /^(shadow|gshadow|passwd|group|sub[ug]id|sudoers|ssh|ssl\/private|errand|docker|kubernetes|rancher|NetworkManager|wpa_supplicant|wireguard|openvpn|ppp|ipsec|letsencrypt|mysql|krb5|environment|profile\.d|cron|systemd|credstore|machine-id|hostname|hosts|resolv\.conf|fstab|crypttab|gitconfig|npmrc|pip\.conf|apt|ldap|sssd|samba)/

function isHarmless(name: string): boolean {
  return !NEVER_LINKED.test(name) && !NEVER.test(name) && !name.includes('..')
}

/** The links at the top of a merged root: bin, sbin, lib … */
export async function readTopLinks(): Promise<LayerEntry[]> {
  const names = ['bin', 'sbin', 'lib', 'lib32', 'lib64', 'libx32', 'libo32']
  const found: LayerEntry[] = []
  for (const name of names)
    if (await exists(`/${name}`)) {
      const target = await realpath(`/${name}`)
      if (target.startsWith('/usr/')) found.push(link(name, target.slice(1)))
    }
  return found
}
