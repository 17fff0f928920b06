// Which package registries npm, pip and apt of an image are configured for. No registry's name stands in this code: defaults
// are asked of the tools themselves, and where files are downloaded from is read off one index page. Looks at the image alone,
// never at a work tree. Who can write to the image's configuration decides what counts as a registry.
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { withDeadline } from '../lib/deadline.ts'
import { runChecked } from '../lib/process.ts'
import type { FetchPage } from './fetch-page.ts'
import {
  aptListUrls,
  aptSourcesUrls,
  createRegistry,
  indexPageLinks,
  npmListUrls,
  npmrcUrls,
  type PackageTool,
  pipConfUrls,
  type Registry,
} from './registry-files.ts'

export interface RegistriesFound {
  registries: Registry[]
  /** What could not be learnt, one sentence each. */
  warnings: string[]
}

export interface DiscoveryDeps {
  /** Runs a program of the image and gives its stdout; null when there is no such program. */
  run: (command: string, args: string[], signal: AbortSignal) => Promise<string | null>
  /** Null when the file is not there or not readable. */
  readText: (path: string) => Promise<string | null>
  listFolder: (path: string) => Promise<string[]>
  fetchPage: FetchPage
}

interface Finding {
  tool: PackageTool
  url: string
  from: string
}

const NPM_FILES = ['/etc/npmrc', '/usr/etc/npmrc', '/usr/local/etc/npmrc', '/root/.npmrc']
const PIP_FILES = [
  '/etc/pip.conf',
  '/etc/xdg/pip/pip.conf',
  '/root/.pip/pip.conf',
  '/root/.config/pip/pip.conf',
]
/** pip's own constant, also out of the wheel that `python3 -m venv` installs from where pip itself is not installed. */
const PIP_DEFAULT = `
import glob, os, sys
try:
    import pip
except ImportError:
    import ensurepip
    folder = getattr(ensurepip, '_WHEEL_PKG_DIR', None) or os.path.join(os.path.dirname(ensurepip.__file__), '_bundled')
    sys.path[:0] = glob.glob(os.path.join(folder, 'pip-*.whl'))
from pip._internal.models.index import PyPI
print(PyPI.simple_url)
`

export async function discoverRegistries(
  deps: DiscoveryDeps,
  signal: AbortSignal,
): Promise<RegistriesFound> {
  const warnings: string[] = []
  const attempt = async (what: string, find: () => Promise<Finding[]>): Promise<Finding[]> => {
    try {
      return await find()
    } catch (error) {
      signal.throwIfAborted()
      warnings.push(`${what}: ${error instanceof Error ? error.message : String(error)}`)
      return []
    }
  }
  const found = await Promise.all([
    attempt('the registry of npm', () => findNpm(deps, signal)),
    attempt('the index of pip', () => findPip(deps, signal)),
    attempt('the sources of apt', () => findApt(deps)),
  ])
  const named = toRegistries(found.flat())
  const files = await Promise.all(
    named.map((registry) =>
      attempt(`where ${registry.url} keeps its files`, () => findFiles(deps, registry, signal)),
    ),
  )
  return { registries: toRegistries([...found.flat(), ...files.flat()]), warnings }
}

async function findNpm({ run, readText }: DiscoveryDeps, signal: AbortSignal): Promise<Finding[]> {
  const found = await fromFiles('npm', NPM_FILES, readText, npmrcUrls)
  const listed = await run('npm', ['config', 'list', '--json'], signal)
  if (listed === null) return found
  return [...found, ...findings('npm', npmListUrls(listed), 'npm config list')]
}

async function findPip({ run, readText }: DiscoveryDeps, signal: AbortSignal): Promise<Finding[]> {
  let hasIndex = false
  const found = await fromFiles('pip', PIP_FILES, readText, (text) => {
    const { index, extra } = pipConfUrls(text)
    if (index) hasIndex = true
    return index ? [index, ...extra] : extra
  })
  if (hasIndex) return found
  const standard = await run('python3', ['-I', '-c', PIP_DEFAULT], signal)
  return standard === null ? found : [...found, ...findings('pip', [standard.trim()], 'pip')]
}

async function findApt({ readText, listFolder }: DiscoveryDeps): Promise<Finding[]> {
  const folder = '/etc/apt/sources.list.d'
  const names = (await listFolder(folder)).map((name) => join(folder, name))
  const lists = ['/etc/apt/sources.list', ...names.filter((name) => name.endsWith('.list'))]
  const sources = names.filter((name) => name.endsWith('.sources'))
  return [
    ...(await fromFiles('apt', lists, readText, aptListUrls)),
    ...(await fromFiles('apt', sources, readText, aptSourcesUrls)),
  ]
}

/** Indexes may serve files from other hosts: one small project that every registry of the kind has tells which. */
async function findFiles(
  { fetchPage }: DiscoveryDeps,
  { tool, url }: Registry,
  signal: AbortSignal,
): Promise<Finding[]> {
  const base = url.endsWith('/') ? url : `${url}/`
  if (tool === 'apt') return []
  if (tool === 'pip') {
    const accept = 'application/vnd.pypi.simple.v1+json, text/html;q=0.5'
    const page = await fetchPage(`${base}pip/`, accept, signal)
    return origins('pip', indexPageLinks(page, `${base}pip/`), base)
  }
  const page = JSON.parse(await fetchPage(`${base}npm/latest`, 'application/json', signal))
  const tarball: unknown = (page as { dist?: { tarball?: unknown } } | null)?.dist?.tarball
  return typeof tarball === 'string' ? origins('npm', [tarball], base) : []
}

function origins(tool: PackageTool, links: string[], from: string): Finding[] {
  const parsed = links.filter((link) => URL.canParse(link)).map((link) => new URL(link))
  const web = parsed.filter(({ protocol }) => protocol === 'https:' || protocol === 'http:')
  return findings(tool, [...new Set(web.map(({ origin }) => `${origin}/`))], from)
}

async function fromFiles(
  tool: PackageTool,
  paths: string[],
  readText: DiscoveryDeps['readText'],
  urlsOf: (text: string) => string[],
): Promise<Finding[]> {
  const found: Finding[] = []
  for (const path of paths) {
    const text = await readText(path)
    if (text !== null) found.push(...findings(tool, urlsOf(text), path))
  }
  return found
}

function findings(tool: PackageTool, urls: string[], from: string): Finding[] {
  return urls.map((url) => ({ tool, url, from }))
}

/** One of each tool, host and port; the first that named it. */
function toRegistries(found: Finding[]): Registry[] {
  const known = new Map<string, Registry>()
  for (const { tool, url, from } of found) {
    const registry = createRegistry(tool, url, from)
    if (!registry) continue
    const key = `${tool} ${registry.host}:${registry.port}`
    if (!known.has(key)) known.set(key, registry)
  }
  return [...known.values()]
}

interface HostImageOptions {
  fetchPage: FetchPage
  /** The unprivileged user that the tools run as; left out when this process is one. */
  user?: { uid: number; gid: number }
}

/** The image `host`: this machine's own tools, in a clean environment that no variable of ours reaches. */
export function createHostImageDeps({ fetchPage, user }: HostImageOptions): DiscoveryDeps {
  const env = {
    PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    HOME: '/nonexistent',
    LANG: 'C.UTF-8',
    npm_config_logs_max: '0',
    npm_config_update_notifier: 'false',
  }
  return {
    fetchPage,
    run: (command, args, signal) =>
      withDeadline(
        command,
        20_000,
        (limit) => runChecked(command, args, { ...user, cwd: '/', env, signal: limit }),
        signal,
      ).catch((error: unknown) => nullWhen('ENOENT', error)),
    readText: (path) =>
      readFile(path, 'utf8').catch((error: unknown) => nullWhen(UNREADABLE, error)),
    listFolder: async (path) =>
      (await readdir(path).catch((error: unknown) => nullWhen(UNREADABLE, error))) ?? [],
  }
}

const UNREADABLE = /^(?:ENOENT|ENOTDIR|EACCES|EISDIR)$/

function nullWhen(code: string | RegExp, error: unknown): null {
  const actual = (error as NodeJS.ErrnoException).code ?? ''
  if (typeof code === 'string' ? code === actual : code.test(actual)) return null
  throw error
}
