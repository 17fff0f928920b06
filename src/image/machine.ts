// What the build of an image takes over from this machine: the mirror of Debian, registries of npm and pip, authorities. No
// credential of the machine comes along, and no registry's name stands here.
import { readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { runChecked, runProcess } from '../lib/process.ts'
import { readIfThere } from '../sandbox/files.ts'
import { cleanNpmrc, cleanPipConf } from '../sandbox/images/package-config.ts'

export interface MachineSettings {
  /** Lines for apt; empty where this machine knows no mirror of Debian, so that mmdebstrap takes its own. */
  aptSources: string
  /** How apt goes out here, such as through a proxy. */
  aptOptions: string[]
  npmRegistry: string
  /** Files of the image that point package managers where the machine's own point. */
  files: { path: string; text: string }[]
}

const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg'

export async function readMachine(suite: string): Promise<MachineSettings> {
  const [aptSources, aptOptions, npmRegistry, files] = await Promise.all([
    readAptSources(suite),
    readAptOptions(),
    readNpmRegistry(),
    readRegistryFiles(),
  ])
  return { aptSources, aptOptions, npmRegistry, files }
}

async function readAptSources(suite: string): Promise<string> {
  const release = await readIfThere('/etc/os-release')
  const codename = /^VERSION_CODENAME=(\S+)$/m.exec(release ?? '')?.[1]
  if (!codename || !/^ID=debian$/m.test(release ?? '')) return ''
  const format = ['--format', '$(REPO_URI) $(RELEASE) $(COMPONENT)', 'Created-By: Packages']
  const { stdout } = await runProcess('apt-get', ['indextargets', ...format])
  return debianSources(stdout, { codename, suite })
}

/** `lines` are `URL release component`, as apt-get indextargets tells them of this machine's release `codename`. */
export function debianSources(
  lines: string,
  { codename, suite }: { codename: string; suite: string },
): string {
  const found = lines
    .split('\n')
    .map((line) => line.split(' '))
    .filter(([, release = '', component]) => component === 'main' && release.startsWith(codename))
    .map(([url = '', release = '']) => ({ url, part: release.slice(codename.length) }))
    .filter(({ part }) => part === '' || part === '-updates' || part === '-security')
  if (!found.some(({ part }) => part === '')) return ''
  const sources = found.map(
    ({ url, part }) => `deb [signed-by=${KEYRING}] ${url} ${suite}${part} main\n`,
  )
  return [...new Set(sources)].join('')
}

async function readAptOptions(): Promise<string[]> {
  const { stdout } = await runProcess('apt-config', ['dump', 'Acquire', '--format', '%F "%v";%n'])
  return stdout
    .split('\n')
    .filter((line) => /^Acquire::https?::/i.test(line) && !line.endsWith(' "";'))
}

async function readNpmRegistry(): Promise<string> {
  return (await runChecked('npm', ['config', 'get', 'registry'])).trim()
}

async function readRegistryFiles(): Promise<MachineSettings['files']> {
  const home = homedir()
  const npm = ['/etc/npmrc', '/usr/etc/npmrc', '/usr/local/etc/npmrc', join(home, '.npmrc')]
  const pip = ['/etc/pip.conf', join(home, '.pip/pip.conf'), join(home, '.config/pip/pip.conf')]
  const read = async (paths: string[]) =>
    (await Promise.all(paths.map((path) => readFile(path, 'utf8').catch(() => '')))).join('\n')
  const npmrc = onlySettings(cleanNpmrc(await read(npm)), /^(?:@[^:]+:)?registry\s*=/)
  const pipConf = onlySettings(cleanPipConf(await read(pip)), /^(?:extra-)?index-url\s*=/)
  return [
    ...(npmrc ? [{ path: 'root/.npmrc', text: npmrc }] : []),
    ...(pipConf ? [{ path: 'root/.config/pip/pip.conf', text: `[global]\n${pipConf}` }] : []),
  ]
}

/** Everything else of the machine's settings (paths, habits) does not fit an image. */
export function onlySettings(text: string, wanted: RegExp): string {
  const lines = text.split('\n').filter((line) => wanted.test(line))
  return [...new Set(lines)].map((line) => `${line}\n`).join('')
}
