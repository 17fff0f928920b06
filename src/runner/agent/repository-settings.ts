// What a repository's own settings of Claude Code ask for, and what of it is not followed: whatever would change how the way
// out works, who pays, or what the agent may do without asking. Hooks, MCP servers and rules that forbid are followed.
// Does not protect against the agent itself, which may change these files: what holds it is the gateway.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { readPlainFile } from '../../lib/plain-file.ts'
import { isProtectedVariable } from '../../protocol/protected-variables.ts'
import type { Variables } from './agent-environment.ts'
import { claudeHome } from './transcript.ts'

export const SETTINGS_FILES = ['.claude/settings.json', '.claude/settings.local.json'] as const

export interface RepositorySettings {
  /** Rules that forbid or ask, of all files: they hold although no rule that allows does. */
  deny: string[]
  ask: string[]
  /** Variables that the files set and that stay as they were: their values. */
  kept: Variables
  /** For the user: what was not followed, by file. Empty when everything was. */
  notices: string[]
}

const HELPERS = [
  'apiKeyHelper',
  'awsAuthRefresh',
  'awsCredentialExport',
  'gcpAuthRefresh',
  'otelHeadersHelper',
  'proxyAuthHelper',
] as const
/** What is put over them: a helper of no words is none, and the sandbox is ours already. */
export const OVER_REPOSITORY = {
  ...Object.fromEntries(HELPERS.map((name) => [name, ''])),
  sandbox: { enabled: false },
}

const texts = z.array(z.string()).catch([])
const fileSchema = z.looseObject({
  env: z.record(z.string(), z.unknown()).catch({}).default({}),
  permissions: z
    .looseObject({ deny: texts.default([]), ask: texts.default([]) })
    .catch({ deny: [], ask: [] })
    .default({ deny: [], ask: [] }),
})

/** Whether there may be hooks that want to run when a session begins: settings of these folders, or of the agent's home. */
export function hasClaudeSettings(folders: readonly string[], variables: Variables): boolean {
  const places = [
    ...folders.map((folder) => join(folder, '.claude')),
    join(claudeHome(variables), 'settings.json'),
  ]
  return places.some((place) => existsSync(place))
}

/** `given` is the environment that the agent is started with. */
export async function readRepositorySettings(
  folder: string,
  given: Variables,
): Promise<RepositorySettings> {
  const settings: RepositorySettings = { deny: [], ask: [], kept: {}, notices: [] }
  for (const name of SETTINGS_FILES) {
    const text = await readPlainFile(join(folder, name))
    if (text !== undefined) addFile(settings, { name, text, given })
  }
  return settings
}

function addFile(
  settings: RepositorySettings,
  { name, text, given }: { name: string; text: string; given: Variables },
): void {
  const file = parseFile(text)
  if (!file) {
    settings.notices.push(`${name} is not valid JSON, so that nothing of it was followed.`)
    return
  }
  const { deny, ask, ...rights } = file.permissions
  settings.deny.push(...deny)
  settings.ask.push(...ask)
  const variables = Object.keys(file.env).filter(isProtectedVariable)
  for (const key of variables) settings.kept[key] = given[key] ?? ''
  const ignored = [
    ...variables.map((key) => `env.${key}`),
    ...RIGHTS.filter((key) => key in rights).map((key) => `permissions.${key}`),
    ...[...HELPERS, 'sandbox'].filter((key) => key in file),
  ]
  if (ignored.length === 0) return
  settings.notices.push(
    `Not followed of ${name}: ${ignored.join(', ')}. A repository cannot give itself access; its environment can.`,
  )
}

const RIGHTS = ['allow', 'defaultMode', 'additionalDirectories']

function parseFile(text: string): z.infer<typeof fileSchema> | undefined {
  try {
    return fileSchema.safeParse(JSON.parse(text)).data
  } catch {
    return undefined
  }
}
