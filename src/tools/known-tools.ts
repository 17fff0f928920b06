// The tools that check-tools looks for: what people and agents expect on a machine for development. One that is missing is
// shown as missing.
import type { PackageTool } from '../egress/registries/registry-files.ts'

export interface KnownTool {
  group: (typeof TOOL_GROUPS)[number]
  name: string
  /** Programs that are this tool, the preferred one first; its name when absent. */
  programs?: string[]
  /** What makes it tell its version. */
  args?: string[]
  /** Whose registry it installs from. */
  registry?: PackageTool
}

export const TOOL_GROUPS = [
  'languages',
  'package managers',
  'build and test',
  'databases',
  'utilities',
] as const

const VERSION = ['--version']

export const KNOWN_TOOLS: KnownTool[] = [
  ...languages(),
  ...packageManagers(),
  ...named(
    'build and test',
    'make cmake ninja gcc g++ clang gdb pytest ruff mypy black eslint prettier',
  ),
  { group: 'databases', name: 'postgresql', programs: ['postgres', '/usr/lib/postgresql'] },
  ...named('databases', 'psql redis-server sqlite3'),
  ...named('utilities', 'git git-lfs gh jq yq rg fd curl wget vim nano docker'),
  { group: 'utilities', name: 'tmux', args: ['-V'] },
  { group: 'utilities', name: 'chromium', programs: ['chromium', 'google-chrome'] },
]

function languages(): KnownTool[] {
  const group = 'languages'
  return [
    { group, name: 'python', programs: ['python3', 'python'] },
    ...named(group, 'node node22 node24'),
    { group, name: 'java', args: ['-version'] },
    { group, name: 'go', args: ['version'] },
    { group, name: 'rust', programs: ['rustc'] },
    ...named(group, 'ruby php perl'),
  ]
}

function packageManagers(): KnownTool[] {
  const group = 'package managers'
  const registries: [PackageTool, string][] = [
    ['pip', 'pip uv poetry'],
    ['npm', 'npm yarn pnpm bun'],
    ['cargo', 'cargo'],
    ['maven', 'mvn'],
    ['gradle', 'gradle'],
    ['gem', 'gem bundle'],
    ['composer', 'composer'],
    ['apt', 'apt-get'],
  ]
  const modules: KnownTool = {
    group,
    name: 'go modules',
    programs: ['go'],
    args: ['version'],
    registry: 'go',
  }
  const all = registries.flatMap(([registry, names]) =>
    named(group, names).map((tool) => ({ ...tool, registry })),
  )
  return [...all.slice(0, -1), modules, ...all.slice(-1)]
}

function named(group: KnownTool['group'], names: string): KnownTool[] {
  return names.split(' ').map((name) => ({ group, name, args: VERSION }))
}
