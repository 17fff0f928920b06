// check-tools for people: a table, group by group, missing tools in one line at the end of their group.
import type { RegistryState } from './registries.ts'

export interface CheckedTool {
  group: string
  name: string
  version: string | null
  path: string | null
  registry: RegistryState | null
}

export function renderTools(
  tools: CheckedTool[],
  { level, groups }: { level: string | null; groups: readonly string[] },
): string {
  const there = tools.filter(({ path }) => path !== null)
  const width = (of: (tool: CheckedTool) => string) =>
    Math.max(0, ...there.map((tool) => of(tool).length))
  const columns = [width(({ name }) => name), width(versionOf), width(({ path }) => path ?? '')]
  const parts = groups.map((group) => {
    const members = tools.filter((tool) => tool.group === group)
    const lines = members.filter(({ path }) => path !== null).map((tool) => lineOf(tool, columns))
    const missing = members.filter(({ path }) => path === null).map(({ name }) => name)
    const title = `${group[0]?.toUpperCase()}${group.slice(1)}`
    return [
      title,
      ...lines,
      ...(missing.length > 0 ? [`  not here: ${missing.join(', ')}`] : []),
      '',
    ].join('\n')
  })
  const network = level === null ? 'not known here' : level
  return `${parts.join('\n')}\nNetwork level: ${network}\n`
}

function versionOf({ version }: CheckedTool): string {
  return version ?? '?'
}

function lineOf(tool: CheckedTool, [name = 0, version = 0, path = 0]: number[]): string {
  const { registry } = tool
  const reach = registry === null ? '' : `${registry.url} ${reachOf(registry)}`
  const cells = [
    tool.name.padEnd(name),
    versionOf(tool).padEnd(version),
    (tool.path ?? '').padEnd(path),
    reach,
  ]
  return `  ${cells.join('  ').trimEnd()}`
}

function reachOf({ reachable, reason }: RegistryState): string {
  if (reachable === null) return ''
  return reachable ? '(allowed)' : `(denied: ${reason})`
}
