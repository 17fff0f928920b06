// Finds the registries that package managers are configured for in the text of their configuration files. Pure.
// Credentials in a URL are dropped; nothing but URLs is read.
import { hostText, parseHost } from '../rules/hosts.ts'

export const PACKAGE_TOOLS = [
  'npm',
  'pip',
  'cargo',
  'go',
  'maven',
  'gradle',
  'gem',
  'composer',
  'apt',
] as const
export type PackageTool = (typeof PACKAGE_TOOLS)[number]

export interface Registry {
  tool: PackageTool
  host: string
  port: number
  /** Without user, password, query and fragment. */
  url: string
  /** The file or the command that named it. */
  from: string
}

/** Null for what is no http(s) URL with a usable host: cdrom:, file:, mirror lists. */
export function createRegistry(tool: PackageTool, text: string, from: string): Registry | null {
  if (!URL.canParse(text)) return null
  const url = new URL(text)
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return null
  const host = hostText(parseHost(url.hostname))
  if (host === '') return null
  url.username = ''
  url.password = ''
  url.search = ''
  url.hash = ''
  const port = url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : Number(url.port)
  return { tool, host, port, url: url.href, from }
}

/** `registry=` and `@scope:registry=` lines of an npmrc. */
export function npmrcUrls(text: string): string[] {
  return lines(text).flatMap((line) => {
    const match = /^(?:@[^:\s]+:)?registry\s*=\s*["']?([^"'\s]+)["']?$/.exec(line)
    return match?.[1] ? [match[1]] : []
  })
}

export interface PipUrls {
  /** Replaces pip's own default. */
  index: string | null
  extra: string[]
}

/** `index-url`, `extra-index-url` and `find-links` of a pip.conf, whose values may go on over several lines. */
export function pipConfUrls(text: string): PipUrls {
  const settings = confSettings(text)
  const valuesOf = (wanted: string) =>
    settings.filter(({ key }) => key === wanted).flatMap(({ values }) => values)
  return {
    index: valuesOf('index-url').at(-1) ?? null,
    extra: [...valuesOf('extra-index-url'), ...valuesOf('find-links')],
  }
}

/** The lines of an INI file, a continued one under the key that it continues. */
function confSettings(text: string): { key: string; values: string[] }[] {
  let key = ''
  return text
    .split('\n')
    .filter((line) => line.trim() !== '' && !/^\s*[#;]/.test(line))
    .map((line) => {
      if (/^\s/.test(line)) return { key, values: line.trim().split(/\s+/) }
      const [, name = '', value = ''] = /^([a-z_-]+)\s*[=:]\s*(.*)$/i.exec(line) ?? []
      key = name.toLowerCase().replaceAll('_', '-')
      return { key, values: value.split(/\s+/).filter(Boolean) }
    })
}

/** The one-line format: `deb [options] URL suite components`. */
export function aptListUrls(text: string): string[] {
  return lines(text).flatMap((line) => {
    const match = /^deb(?:-src)?\s+(?:\[[^\]]*\]\s+)?(\S+)\s/.exec(line)
    return match?.[1] ? [match[1]] : []
  })
}

/** The deb822 format: stanzas with `URIs:` of one URL or more; disabled stanzas are left out. */
export function aptSourcesUrls(text: string): string[] {
  const withoutComments = text.replace(/^#.*\n?/gm, '')
  return withoutComments.split(/\n\s*\n/).flatMap((stanza) => {
    if (/^enabled:\s*(?:no|false|0|off)\s*$/im.test(stanza)) return []
    const match = /^uris:((?:[^\n]|\n[ \t])*)/im.exec(stanza)
    return match?.[1]?.trim().split(/\s+/) ?? []
  })
}

/** Indexes of cargo's registries and replaced sources. */
export function cargoConfigUrls(text: string): string[] {
  return lines(text).flatMap((line) => {
    const match = /^(?:registry|index)\s*=\s*["'](?:sparse\+)?(https?:[^"']+)["']/.exec(line)
    return match?.[1] ? [match[1]] : []
  })
}

/** Where crates are downloaded from, and the registry's API, out of an index's config.json. */
export function cargoDownloads(json: string): string[] {
  const { dl, api } = JSON.parse(json) as { dl?: unknown; api?: unknown }
  return [dl, api].filter((url) => typeof url === 'string')
}

/** Mirrors and repositories of a settings.xml; proxies and comments are left out. */
export function mavenSettingsUrls(text: string): string[] {
  const plain = text.replace(/<!--[\s\S]*?-->/g, '')
  const urls = plain.matchAll(/<(mirror|repository|pluginRepository)>([\s\S]*?)<\/\1>/g)
  return [...urls].flatMap(([, , inner = '']) => {
    if (/<blocked>\s*true/.test(inner) || /<mirrorOf>\s*external:http:/.test(inner)) return []
    const url = /<url>\s*([^<\s]+)/.exec(inner)?.[1]
    return url ? [url] : []
  })
}

/** The sources of a gemrc. */
export function gemrcUrls(text: string): string[] {
  return lines(text).flatMap((line) => /^-\s+["']?(https?:[^"'\s]+)/.exec(line)?.[1] ?? [])
}

/** Links to files on an index page of Python packages: JSON (PEP 691) or HTML (PEP 503). */
export function indexPageLinks(body: string, pageUrl: string): string[] {
  const links = body.trimStart().startsWith('{') ? jsonLinks(body) : htmlLinks(body)
  return links.flatMap((link) => (URL.canParse(link, pageUrl) ? [new URL(link, pageUrl).href] : []))
}

function jsonLinks(body: string): string[] {
  const { files } = JSON.parse(body) as { files?: { url?: unknown }[] }
  return (Array.isArray(files) ? files : []).flatMap(({ url }) =>
    typeof url === 'string' ? [url] : [],
  )
}

function htmlLinks(body: string): string[] {
  const links = body.matchAll(/<a\s[^>]*?href\s*=\s*(?:"([^"]*)"|'([^']*)')/gi)
  return [...links].map((match) => (match[1] ?? match[2] ?? '').replaceAll('&amp;', '&'))
}

function lines(text: string): string[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !/^[#;]/.test(line))
}
