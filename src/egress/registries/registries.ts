// Which package registries an image is configured for. No registry's name stands in this code: configuration is read from
// files, defaults from the tools' own files, and where files are downloaded from is read off one index page. Looks at the
// image alone, never at a work tree, and runs nothing of it. Who can write to the image's configuration decides what counts.
import { join } from 'node:path'
import type { FetchPage } from './fetch-page.ts'
import {
  cargoDefault,
  composerDefault,
  gemDefault,
  goDefault,
  goEnvUrls,
  gradleDefault,
  type ImageFiles,
  mavenDefault,
  npmDefault,
  pipDefault,
} from './registry-defaults.ts'
import {
  aptListUrls,
  aptSourcesUrls,
  cargoConfigUrls,
  cargoDownloads,
  createRegistry,
  gemrcUrls,
  indexPageLinks,
  mavenSettingsUrls,
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
  files: ImageFiles
  fetchPage: FetchPage
}

interface Finding {
  tool: PackageTool
  url: string
  from: string
}

interface Tool {
  tool: PackageTool
  paths: string[]
  urlsOf(text: string): string[]
  /** What the tool uses beside, or without, what the files say. */
  standard?(files: ImageFiles): Promise<string[]>
  /** Whether the files replace the standard, so that it need not be reached. */
  replaces?(text: string): boolean
}

const TOOLS: Tool[] = [
  {
    tool: 'npm',
    paths: ['/etc/npmrc', '/usr/etc/npmrc', '/usr/local/etc/npmrc', '/root/.npmrc'],
    urlsOf: npmrcUrls,
    standard: npmDefault,
    replaces: (text) => /^\s*registry\s*=/m.test(text),
  },
  {
    tool: 'pip',
    paths: [
      '/etc/pip.conf',
      '/etc/xdg/pip/pip.conf',
      '/root/.pip/pip.conf',
      '/root/.config/pip/pip.conf',
    ],
    urlsOf: (text) => {
      const { index, extra } = pipConfUrls(text)
      return index ? [index, ...extra] : extra
    },
    standard: pipDefault,
    replaces: (text) => pipConfUrls(text).index !== null,
  },
  {
    tool: 'cargo',
    paths: ['/root/.cargo/config.toml', '/root/.cargo/config'],
    urlsOf: cargoConfigUrls,
    standard: cargoDefault,
    replaces: (text) => /^\s*replace-with\s*=/m.test(text),
  },
  {
    tool: 'go',
    paths: ['/root/.config/go/env'],
    urlsOf: goEnvUrls,
    standard: goDefault,
    replaces: (text) => /^GOPROXY=/m.test(text),
  },
  {
    tool: 'maven',
    paths: [
      '/etc/maven/settings.xml',
      '/usr/share/maven/conf/settings.xml',
      '/root/.m2/settings.xml',
    ],
    urlsOf: mavenSettingsUrls,
    standard: mavenDefault,
  },
  { tool: 'gradle', paths: [], urlsOf: () => [], standard: gradleDefault },
  { tool: 'gem', paths: ['/etc/gemrc', '/root/.gemrc'], urlsOf: gemrcUrls, standard: gemDefault },
  { tool: 'composer', paths: [], urlsOf: () => [], standard: composerDefault },
]

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
    ...TOOLS.map((tool) =>
      attempt(`the registry of ${tool.tool}`, () => findConfigured(tool, deps.files)),
    ),
    attempt('the sources of apt', () => findApt(deps.files)),
  ])
  const named = toRegistries(found.flat())
  const files = await Promise.all(
    named.map((registry) =>
      attempt(`where ${registry.url} keeps its files`, () => findFiles(deps, registry, signal)),
    ),
  )
  return { registries: toRegistries([...found.flat(), ...files.flat()]), warnings }
}

async function findConfigured(tool: Tool, files: ImageFiles): Promise<Finding[]> {
  const found = await fromFiles(tool, files)
  if (found.isReplaced || !tool.standard) return found.findings
  const standard = await tool.standard(files)
  return [...found.findings, ...findings(tool.tool, standard, `${tool.tool} itself`)]
}

async function findApt(files: ImageFiles): Promise<Finding[]> {
  const folder = '/etc/apt/sources.list.d'
  const names = (await files.listFolder(folder)).map((name) => join(folder, name))
  const lists = ['/etc/apt/sources.list', ...names.filter((name) => name.endsWith('.list'))]
  const sources = names.filter((name) => name.endsWith('.sources'))
  const found = [
    await fromFiles({ tool: 'apt', paths: lists, urlsOf: aptListUrls }, files),
    await fromFiles({ tool: 'apt', paths: sources, urlsOf: aptSourcesUrls }, files),
  ]
  return found.flatMap(({ findings }) => findings)
}

/** Indexes may serve files from other hosts: one small project that every registry of the kind has tells which. */
async function findFiles(
  { fetchPage }: DiscoveryDeps,
  { tool, url }: Registry,
  signal: AbortSignal,
): Promise<Finding[]> {
  const base = url.endsWith('/') ? url : `${url}/`
  if (tool === 'pip') {
    const accept = 'application/vnd.pypi.simple.v1+json, text/html;q=0.5'
    const page = await fetchPage(`${base}pip/`, accept, signal)
    return origins('pip', indexPageLinks(page, `${base}pip/`), base)
  }
  if (tool === 'cargo') {
    const page = await fetchPage(`${base}config.json`, 'application/json', signal)
    return origins('cargo', cargoDownloads(page), base)
  }
  if (tool !== 'npm') return []
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
  { tool, paths, urlsOf, replaces }: Tool,
  files: ImageFiles,
): Promise<{ findings: Finding[]; isReplaced: boolean }> {
  const found: Finding[] = []
  let isReplaced = false
  for (const path of paths) {
    const text = (await files.read(path))?.toString()
    if (text === undefined) continue
    found.push(...findings(tool, urlsOf(text), path))
    if (replaces?.(text)) isReplaced = true
  }
  return { findings: found, isReplaced }
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
