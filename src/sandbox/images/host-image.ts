// The image `host`: the machine's own /usr, read-only, under a root that Errand makes. Nothing is built or pulled.
// What the machine has outside /usr (/opt, /root/.pyenv, /root/.cargo, /srv …) is not in it. Of /usr a sandbox sees
// what every user of the machine may read: the folder is mounted without shifting its owners, so what is readable for
// root alone stays so.
import { join } from 'node:path'
import { AppError } from '../../protocol/errors.ts'
import { exists, readIfThere } from '../files.ts'
import { emptyFolder, type Mount, readOnlyBind } from '../oci/oci-config.ts'
import { bundleOf, CA_BUNDLE, parseCertificates } from './certificates.ts'
import { readEntry, readHostEtc, readLinkedFromUsr, readTopLinks } from './host-files.ts'
import { JAVA_TRUSTSTORE, javaTruststore } from './java-truststore.ts'
import { file, folder, type LayerEntry, link, mergeEntries } from './layer.ts'
import { GROUP, NSSWITCH, PASSWD, PROFILE, RESOLV_CONF } from './made-etc.ts'
import { cleanAptConf, cleanAptSources, cleanNpmrc, cleanPipConf } from './package-config.ts'

/** What the owner may keep under /usr beside packages: settings of programs and sources. */
const MASKED = ['/usr/local/etc', '/usr/etc', '/usr/src', '/usr/local/src']

export interface HostImageInput {
  extraCertificates: string[]
  /** Whose user-level registry settings count: root's home. */
  homeDir: string
}

export async function hostMounts(): Promise<Mount[]> {
  const there = await Promise.all(MASKED.map((path) => exists(path)))
  return [
    { ...readOnlyBind('/usr', '/usr'), options: ['bind', 'ro', 'nodev'] },
    ...MASKED.filter((_, index) => there[index]).map(emptyFolder),
  ]
}

export async function hostLayer({ extraCertificates, homeDir }: HostImageInput) {
  const topLinks = await readTopLinks()
  if (!topLinks.some((entry) => entry.path === 'lib'))
    throw new AppError('unsupported', 'host_not_merged', 'This machine keeps /lib outside of /usr')
  const etc = await readHostEtc()
  const linked = await readLinkedFromUsr(new Set(etc.map((entry) => entry.path)))
  const own = parseCertificates((await readIfThere(join('/', CA_BUNDLE))) ?? '')
  const trusted = [...new Set([...own, ...extraCertificates])]
  const hasJava = etc.some((entry) => entry.path === JAVA_TRUSTSTORE)
  return mergeEntries([
    ...skeleton(),
    ...topLinks,
    ...etc,
    ...linked,
    ...madeEtc(),
    file(CA_BUNDLE, bundleOf(trusted)),
    ...(hasJava ? [file(JAVA_TRUSTSTORE, javaTruststore(trusted))] : []),
    ...(await packageSettings(homeDir)),
  ])
}

function skeleton(): LayerEntry[] {
  const folders = `boot dev etc etc/ssl etc/ssl/private home media mnt opt opt/errand proc run srv sys usr var var/backups
    var/cache var/lib var/lib/misc var/local var/log var/mail var/opt var/spool workspace`
  return [
    ...folders
      .trim()
      .split(/\s+/)
      .map((path) => folder(path)),
    folder('root', 0o700),
    folder('tmp', 0o1777),
    folder('var/tmp', 0o1777),
    folder('var/lib/errand-runner', 0o700),
    link('var/run', '/run'),
    link('var/lock', '/run/lock'),
  ]
}

function madeEtc(): LayerEntry[] {
  return [
    file('etc/passwd', PASSWD),
    file('etc/group', GROUP),
    file('etc/nsswitch.conf', NSSWITCH),
    file('etc/resolv.conf', RESOLV_CONF),
    file('etc/environment', ''),
    file('etc/fstab', ''),
    file('etc/subuid', ''),
    file('etc/subgid', ''),
    file('etc/machine-id', ''),
    link('etc/mtab', '/proc/self/mounts'),
    folder('etc/profile.d'),
    PROFILE,
    folder('etc/opt'),
  ]
}

async function packageSettings(homeDir: string): Promise<LayerEntry[]> {
  const npm = ['/etc/npmrc', '/usr/etc/npmrc', '/usr/local/etc/npmrc', join(homeDir, '.npmrc')]
  const pip = ['.pip/pip.conf', '.config/pip/pip.conf'].map((path) => join(homeDir, path))
  const parts = await Promise.all([
    cleanedFile('root/.npmrc', npm, cleanNpmrc),
    cleanedFile('etc/pip.conf', ['/etc/pip.conf'], cleanPipConf),
    cleanedFile('root/.config/pip/pip.conf', pip, cleanPipConf),
    cleanedFile('etc/apt/sources.list', ['/etc/apt/sources.list'], cleanAptSources),
    cleanedFolder('apt/sources.list.d', cleanAptSources),
    cleanedFolder('apt/apt.conf.d', cleanAptConf),
    ...['trusted.gpg.d', 'keyrings', 'preferences.d'].map((name) => cleanedFolder(`apt/${name}`)),
  ])
  return parts.flat()
}

/** The files of `sources` that exist, one after the other, without their credentials. */
async function cleanedFile(
  path: string,
  sources: string[],
  clean: (text: string) => string,
): Promise<LayerEntry[]> {
  const texts = await Promise.all(sources.map((source) => readIfThere(source)))
  const found = texts.filter((text) => text !== undefined)
  return found.length === 0 ? [] : [file(path, clean(found.join('\n')))]
}

async function cleanedFolder(
  name: string,
  clean?: (text: string) => string,
): Promise<LayerEntry[]> {
  const entries = await readEntry('/etc', name, 0)
  return entries.map((entry) =>
    entry.kind === 'file' && clean ? { ...entry, data: clean(entry.data.toString()) } : entry,
  )
}
