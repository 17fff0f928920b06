// `check-tools`, a program inside every sandbox: languages, package managers, databases and utilities with version and path,
// the registry of each package manager and whether this session reaches it. Changes nothing but its own record of versions.
import { existsSync } from 'node:fs'
import { SANDBOX_PATHS } from '../protocol/network.ts'
import { KNOWN_TOOLS, TOOL_GROUPS } from './known-tools.ts'
import { createReachClient, findRegistryStates } from './registries.ts'
import { type CheckedTool, renderTools } from './render.ts'
import { findVersions } from './versions.ts'

const CACHE_FILE = '/var/cache/errand/check-tools.json'
const USAGE =
  'check-tools [--json]: the tools of this machine, and which registries its network level lets them reach\n'

async function main(args: string[], env: Record<string, string>): Promise<number> {
  const unknown = args.filter((arg) => arg !== '--json')
  if (unknown.length > 0) {
    const wantsHelp = unknown.every((arg) => arg === '--help' || arg === '-h')
    const stream = wantsHelp ? process.stdout : process.stderr
    stream.write(USAGE)
    return wantsHelp ? 0 : 2
  }
  const { doorSocket } = SANDBOX_PATHS
  const [found, registries] = await Promise.all([
    findVersions(KNOWN_TOOLS, { path: env.PATH ?? '', env, cacheFile: CACHE_FILE }),
    findRegistryStates({
      ...{ env, home: env.HOME ?? '/root', cwd: process.cwd() },
      ask: existsSync(doorSocket) ? createReachClient(doorSocket) : null,
    }),
  ])
  const tools: CheckedTool[] = KNOWN_TOOLS.map(({ group, name, registry }, at) => ({
    ...{ group, name },
    version: found[at]?.version ?? null,
    path: found[at]?.path ?? null,
    registry: (registry && found[at] && registries.of(registry)) ?? null,
  }))
  const { level } = registries
  const text = args.includes('--json')
    ? `${JSON.stringify({ level, tools })}\n`
    : renderTools(tools, { level, groups: TOOL_GROUPS })
  process.stdout.write(text)
  return 0
}

const environment = Object.fromEntries(
  // biome-ignore lint/style/noProcessEnv: a program of its own reads its environment, once, here.
  Object.entries(process.env).filter((entry): entry is [string, string] => entry[1] !== undefined),
)
// No top-level await: the bundle is CommonJS.
void main(process.argv.slice(2), environment).then((code) => {
  process.exitCode = code
})
