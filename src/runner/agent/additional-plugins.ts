// Agents, commands and MCP servers of a session's additional repositories: Claude Code reads these of the folder that it starts
// in alone, and takes those of others as plugins, each under the name of its repository. A plugin holds copies of these files
// and nothing else: no hook, no setting, and no right that a file gives itself. A server runs in its own repository.
// Does not protect against the agent itself, which may start any of it as well: what holds it is the gateway.
import { lstat, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { SdkPluginConfig } from '@anthropic-ai/claude-agent-sdk/core'
import { z } from 'zod'
import { readPlainFile } from '../../lib/plain-file.ts'
import type { AdditionalFolder } from './additional-settings.ts'
import { plainFrontmatter } from './plain-frontmatter.ts'

export interface AdditionalPlugins {
  plugins: SdkPluginConfig[]
  /** For the user: what was not followed, by file. */
  notices: string[]
}

const SERVERS = '.mcp.json'
const FOLDERS = ['agents', 'commands'] as const
const MOST_FILES = 500
const MOST_BYTES = 256 * 1024

const serversSchema = z.object({ mcpServers: z.record(z.string(), z.looseObject({})) })
const programSchema = z.looseObject({
  command: z.string(),
  args: z.array(z.string()).optional().default([]),
})
type Servers = z.infer<typeof serversSchema>['mcpServers']

/** Makes `into` anew: no agent may be using it. A repository without any of it has no plugin. */
export async function writeAdditionalPlugins(
  folders: readonly AdditionalFolder[],
  into: string,
): Promise<AdditionalPlugins> {
  await rm(into, { recursive: true, force: true })
  const found: AdditionalPlugins = { plugins: [], notices: [] }
  const names = new Set<string>()
  for (const { name, folder } of folders) {
    const { servers, notice } = await readServers(folder)
    if (notice) found.notices.push(`${name}/${notice}`)
    const files = await listFiles(folder)
    if (files.length === 0 && Object.keys(servers).length === 0) continue
    const plugin = pluginName(name, names)
    const path = join(into, plugin)
    await writeJson(join(path, '.claude-plugin/plugin.json'), {
      ...{ name: plugin, version: '1.0.0', description: `Of the repository ${name}.` },
    })
    await writeJson(join(path, SERVERS), { mcpServers: servers })
    for (const file of files) await copyInto(join(folder, '.claude'), path, file)
    found.plugins.push({ type: 'local', path })
  }
  return found
}

/** What a plugin may be called, and no other is. */
function pluginName(repository: string, taken: Set<string>): string {
  const plain = repository.toLowerCase().replace(/[^a-z0-9]+/g, '-')
  const name = plain.replace(/^-|-$/g, '') || 'repository'
  let free = name
  for (let n = 2; taken.has(free); n++) free = `${name}-${n}`
  taken.add(free)
  return free
}

async function readServers(folder: string): Promise<{ servers: Servers; notice?: string }> {
  const text = await readPlainFile(join(folder, SERVERS))
  if (text === undefined) return { servers: {} }
  const parsed = parseServers(text)
  if (!parsed)
    return {
      servers: {},
      notice: `${SERVERS} names no servers, so that nothing of it was followed.`,
    }
  const servers = Object.entries(parsed).map(([name, server]) => [name, inFolder(server, folder)])
  return { servers: Object.fromEntries(servers) }
}

function parseServers(text: string): Servers | undefined {
  try {
    return serversSchema.safeParse(JSON.parse(text)).data?.mcpServers
  } catch {
    return undefined
  }
}

/** As if the agent had been started there. What is no program of this machine has no folder. */
function inFolder(server: object, folder: string): object {
  const { data } = programSchema.safeParse(server)
  if (!data) return server
  const script = 'cd "$0" && CLAUDE_PROJECT_DIR="$0" exec "$@"'
  return { ...data, command: '/bin/sh', args: ['-c', script, folder, data.command, ...data.args] }
}

/** Below `.claude`; links and what is too large are left out. */
async function listFiles(folder: string): Promise<string[]> {
  const files: string[] = []
  for (const kind of FOLDERS) {
    const root = join(folder, '.claude', kind)
    const names = await readdir(root, { recursive: true }).catch(() => [])
    for (const name of names.filter((one) => one.endsWith('.md')).sort()) {
      const stats = await lstat(join(root, name)).catch(() => undefined)
      if (stats?.isFile() && stats.size <= MOST_BYTES) files.push(join(kind, name))
    }
  }
  return files.slice(0, MOST_FILES)
}

async function copyInto(from: string, to: string, file: string): Promise<void> {
  await mkdir(dirname(join(to, file)), { recursive: true })
  await writeFile(join(to, file), plainFrontmatter(await readFile(join(from, file), 'utf8')))
}

async function writeJson(path: string, value: object): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, JSON.stringify(value))
}
