// Which registry each package manager uses here, and whether the session reaches it. Variables and the user's own files win
// over what the image came with, which the gateway knows; the gateway alone says what is reached.
import { request } from 'node:http'
import { join } from 'node:path'
import {
  cargoConfigUrls,
  createRegistry,
  gemrcUrls,
  mavenSettingsUrls,
  npmrcUrls,
  type PackageTool,
  pipConfUrls,
  type Registry,
} from '../egress/registries/registry-files.ts'
import { readPlainFile } from '../lib/plain-file.ts'
import { DOOR_HOST } from '../protocol/network.ts'
import type { ReachAnswer } from '../protocol/reach.ts'

export interface RegistryState {
  url: string
  /** Null when it is not known, as outside of a sandbox. */
  reachable: boolean | null
  /** Why it is not reached. */
  reason: string | null
}

export interface RegistryDeps {
  env: Record<string, string | undefined>
  home: string
  cwd: string
  /** The socket of the door; null outside of a sandbox. */
  ask: ((questions: string[]) => Promise<ReachAnswer>) | null
}

const VARIABLES: Partial<Record<PackageTool, string[]>> = {
  npm: ['npm_config_registry', 'NPM_CONFIG_REGISTRY'],
  pip: ['PIP_INDEX_URL', 'UV_INDEX_URL', 'UV_DEFAULT_INDEX'],
  go: ['GOPROXY'],
}

const FILES: [PackageTool, string, (text: string) => string[]][] = [
  ['npm', '.npmrc', npmrcUrls],
  ['pip', '.config/pip/pip.conf', (text) => [pipConfUrls(text).index ?? '']],
  ['cargo', '.cargo/config.toml', cargoConfigUrls],
  ['maven', '.m2/settings.xml', mavenSettingsUrls],
  ['gem', '.gemrc', gemrcUrls],
]

export async function findRegistryStates(
  deps: RegistryDeps,
): Promise<{ level: string | null; of: (tool: PackageTool) => RegistryState | undefined }> {
  const own = await ownRegistries(deps)
  const answer = await deps.ask?.(own.map(authorityOf)).catch(() => undefined)
  const all = [...own, ...((answer?.registries ?? []) as Registry[])]
  return {
    level: answer?.level ?? null,
    of: (tool) => {
      const found = all.find((registry) => registry.tool === tool)
      if (!found) return undefined
      const reason = answer?.reach[authorityOf(found)]
      const isKnown = reason !== undefined
      return {
        url: found.url,
        reachable: isKnown ? reason === null : null,
        reason: reason ?? null,
      }
    },
  }
}

/** What variables and files of the user say, the stronger first. */
async function ownRegistries({ env, home, cwd }: RegistryDeps): Promise<Registry[]> {
  const fromVariables = Object.entries(VARIABLES).flatMap(([tool, names]) =>
    names.flatMap((name) => {
      const url = env[name]?.split(/[,|]/)[0] ?? ''
      return createRegistry(tool as PackageTool, url, name) ?? []
    }),
  )
  const project = FILES.filter(([tool]) => tool === 'npm' || tool === 'cargo')
  const paths = [
    ...project.map((entry) => ({ entry, path: join(cwd, entry[1]) })),
    ...FILES.map((entry) => ({ entry, path: join(home, entry[1]) })),
  ]
  const fromFiles = await Promise.all(
    paths.map(async ({ entry: [tool, , urlsOf], path }) => {
      const text = (await readPlainFile(path)) ?? ''
      return urlsOf(text).flatMap((url) => createRegistry(tool, url, path) ?? [])
    }),
  )
  return [...fromVariables, ...fromFiles.flat()]
}

function authorityOf({ host, port }: { host: string; port: number }): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`
}

const LIMIT_MS = 2_000

/** Asks the gateway over the session's socket. */
export function createReachClient(socketPath: string): NonNullable<RegistryDeps['ask']> {
  return (questions) =>
    new Promise((resolve, reject) => {
      const query = new URLSearchParams(questions.map((text): [string, string] => ['at', text]))
      const asked = request({
        ...{ socketPath, path: `/reach?${query}`, headers: { host: DOOR_HOST } },
        signal: AbortSignal.timeout(LIMIT_MS),
      })
      asked.on('error', reject)
      asked.on('response', (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('error', reject)
        response.on('end', () => {
          try {
            resolve(JSON.parse(Buffer.concat(chunks).toString()) as ReachAnswer)
          } catch (error) {
            reject(error)
          }
        })
      })
      asked.end()
    })
}
