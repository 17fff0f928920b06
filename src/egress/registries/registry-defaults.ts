// The registries that package managers use when nobody tells them another, read out of the tools' own files, so that no
// registry's name stands in this code and nothing of an image is run. A tool that is not there has none.
import { dirname, join } from 'node:path'
import { readZip } from '../../lib/zip.ts'

/** The files of an image; paths are those inside it, links are followed inside it. */
export interface ImageFiles {
  /** Null when it is not there or not readable. */
  read(path: string): Promise<Buffer | null>
  listFolder(path: string): Promise<string[]>
  /** Where a path leads to, null when nowhere. */
  resolve(path: string): Promise<string | null>
}

const PROGRAM_FOLDERS = ['/usr/local/bin', '/usr/bin', '/bin', '/usr/local/go/bin']
const URL_IN_CODE = /["'`](https?:\/\/[^"'`\s]+)["'`]/

/** The definition of npm's setting `registry`, of this and of earlier forms. */
const NPM_SETTING =
  /(?:define|Definition)\(\s*['"]registry['"],[^}]{0,100}?default:[^\n]*|^\s*registry:\s*['"]http[^\n]*/m

/** The program's folder above `bin`, with links followed. */
async function homeOf(files: ImageFiles, program: string): Promise<string | null> {
  const path = await findProgram(files, program)
  return path === null ? null : dirname(dirname(path))
}

async function findProgram(files: ImageFiles, program: string): Promise<string | null> {
  for (const folder of PROGRAM_FOLDERS) {
    const path = await files.resolve(join(folder, program))
    if (path !== null) return path
  }
  return null
}

/** Calls `find` with the text of each path that is there, until it has found something. */
async function firstIn(
  files: ImageFiles,
  paths: string[],
  find: (text: string) => string[],
): Promise<string[]> {
  for (const path of paths) {
    const text = await files.read(path)
    const found = text === null ? [] : find(text.toString('latin1'))
    if (found.length > 0) return found
  }
  return []
}

/** Every path of `folder` whose name matches. */
async function named(files: ImageFiles, folder: string, name: RegExp): Promise<string[]> {
  const names = await files.listFolder(folder)
  return names.filter((found) => name.test(found)).map((found) => join(folder, found))
}

const matches = (text: string, pattern: RegExp) =>
  [...new Set([...text.matchAll(pattern)].map((match) => match[1] ?? ''))].filter(Boolean)

export async function npmDefault(files: ImageFiles): Promise<string[]> {
  const home = await homeOf(files, 'npm')
  if (home === null) return []
  const paths = [
    'node_modules/@npmcli/config/lib/definitions/definitions.js',
    '../@npmcli/config/lib/definitions/definitions.js',
    'lib/utils/config/definitions.js',
    'lib/config/defaults.js',
  ]
  return firstIn(
    files,
    paths.map((path) => join(home, path)),
    (text) => {
      const url = URL_IN_CODE.exec(NPM_SETTING.exec(text)?.[0] ?? '')?.[1]
      return url ? [url] : []
    },
  )
}

/** Of pip itself, or of the wheel that `python3 -m venv` installs it from. */
export async function pipDefault(files: ImageFiles): Promise<string[]> {
  const versions = await Promise.all(
    ['/usr/lib', '/usr/local/lib'].map((folder) => named(files, folder, /^python3(\.\d+)?$/)),
  )
  const packages = versions
    .flat()
    .flatMap((path) => [join(path, 'dist-packages'), join(path, 'site-packages')])
  const find = (text: string) =>
    matches(text, /^PyPI = PackageIndex\(\s*["'](https?:[^"']+)["']/gm).map(
      (url) => new URL('simple', url).href,
    )
  const own = await firstIn(
    files,
    packages.map((path) => join(path, 'pip/_internal/models/index.py')),
    find,
  )
  if (own.length > 0) return own
  const folders = [
    '/usr/share/python-wheels',
    ...versions.flat().map((path) => join(path, 'ensurepip/_bundled')),
  ]
  for (const folder of folders)
    for (const wheel of await named(files, folder, /^pip-.*\.whl$/)) {
      const archive = await files.read(wheel)
      const texts = archive
        ? readZip(archive, (name) => name === 'pip/_internal/models/index.py')
        : []
      const found = texts.flatMap((text) => find(text.toString()))
      if (found.length > 0) return found
    }
  return []
}

/** The index that cargo knows, a constant of the program. */
export async function cargoDefault(files: ImageFiles): Promise<string[]> {
  const path = await findProgram(files, 'cargo')
  return path === null
    ? []
    : firstIn(files, [path], (text) => matches(text, /sparse\+(https:\/\/[a-z0-9.-]+\/)/g))
}

/** `GOPROXY` and `GOSUMDB` as the toolchain sets them: in go.env since Go 1.21, constants of the program before. */
export async function goDefault(files: ImageFiles): Promise<string[]> {
  const program = await findProgram(files, 'go')
  if (program === null) return []
  const fromEnv = (text: string) => goEnvUrls(text)
  const home = dirname(dirname(program))
  return firstIn(files, [join(home, 'go.env'), program], (text) =>
    text.startsWith('\x7fELF')
      ? [
          ...matches(text, /(https:\/\/[a-z0-9.-]+),direct/g),
          ...matches(text, /\b([a-z0-9.-]+\.[a-z]+)\+[0-9a-f]{8}\+[A-Za-z0-9+/]{40}/g).map(
            (host) => `https://${host}`,
          ),
        ]
      : fromEnv(text),
  )
}

/** URLs of `GOPROXY` and the host of `GOSUMDB`, in a file of `NAME=value` lines. */
export function goEnvUrls(text: string): string[] {
  const value = (name: string) => new RegExp(`^${name}=(.*)$`, 'm').exec(text)?.[1]?.trim() ?? ''
  const proxies = value('GOPROXY')
    .split(/[,|]/)
    .filter((part) => part.startsWith('http'))
  const [sum = ''] = value('GOSUMDB').split(/[+\s]/)
  return [...proxies, ...(sum === '' || sum === 'off' ? [] : [`https://${sum}`])]
}

/** Central, from the model that every project inherits. */
export async function mavenDefault(files: ImageFiles): Promise<string[]> {
  const home = await homeOf(files, 'mvn')
  if (home === null) return []
  const jars = await named(files, join(home, 'lib'), /^maven-model-builder.*\.jar$/)
  return inJars(
    files,
    jars,
    /^org\/apache\/maven\/model\/pom-4\.0\.0\.xml$/,
    /<url>(https?:[^<]+)<\/url>/g,
  )
}

/** Central, the plugin portal and where wrappers fetch Gradle, constants of its classes. */
export async function gradleDefault(files: ImageFiles): Promise<string[]> {
  const home = await homeOf(files, 'gradle')
  if (home === null) return []
  const folders = [join(home, 'lib'), join(home, 'lib/plugins')]
  const jars = (
    await Promise.all(folders.map((folder) => named(files, folder, GRADLE_JARS)))
  ).flat()
  const url = /(https:\/\/[a-z0-9.-]+(?:\/[A-Za-z0-9._/-]*)?)/g
  const found = await Promise.all(GRADLE_CLASSES.map((entry) => inJars(files, jars, entry, url)))
  return found.flat()
}

const GRADLE_JARS =
  /^gradle-(core|core-api|dependency-management|plugin-use|util|wrapper[a-z-]*)-\d.*\.jar$/
/** What a build asks comes first, where Gradle itself comes from last. */
const GRADLE_CLASSES = [
  /\/ArtifactRepositoryContainer\.class$/,
  /\/(Default)?BaseRepositoryFactory\.class$/,
  /\/DistributionLocator\.class$/,
]

async function inJars(
  files: ImageFiles,
  jars: string[],
  entry: RegExp,
  url: RegExp,
): Promise<string[]> {
  const found: string[] = []
  for (const jar of jars) {
    const archive = await files.read(jar)
    const texts = archive ? readZip(archive, (name) => entry.test(name)) : []
    found.push(...texts.flatMap((text) => matches(text.toString('latin1'), url)))
  }
  return [...new Set(found)]
}

export async function gemDefault(files: ImageFiles): Promise<string[]> {
  const folders = ['/usr/lib/ruby', '/usr/local/lib/ruby', '/usr/share/ruby']
  const inner = await Promise.all(folders.map((folder) => named(files, folder, /./)))
  const paths = [...folders, ...inner.flat()].map((folder) => join(folder, 'rubygems/defaults.rb'))
  return firstIn(files, paths, (text) => matches(text, /%w\[(https?:[^\]\s]+)\]/g))
}

export async function composerDefault(files: ImageFiles): Promise<string[]> {
  return firstIn(files, ['/usr/share/php/Composer/Config.php'], (text) =>
    matches(text, /'packagist\.org'[\s\S]{0,200}?'url'\s*=>\s*'(https?:[^']+)'/g),
  )
}
