// What is followed of the Claude Code settings of a session's additional repositories: their SessionStart hooks, each run in
// its own repository. Everything else in these files is the main repository's to say, and is named for the user.
// Does not protect against the agent itself, which may change these files: what holds it is the gateway.
import { join } from 'node:path'
import type { Options } from '@anthropic-ai/claude-agent-sdk/core'
import { z } from 'zod'
import { readPlainFile } from '../../lib/plain-file.ts'
import { SETTINGS_FILES } from './repository-settings.ts'

export interface AdditionalFolder {
  name: string
  folder: string
}

type Hooks = NonNullable<Extract<Options['settings'], object>['hooks']>

export interface AdditionalSettings {
  /** To be given to the agent with its own settings. */
  sessionStart: NonNullable<Hooks['SessionStart']>
  /** For the user: what was not followed, by file. */
  notices: string[]
}

const FOLLOWED = 'SessionStart'
const commandSchema = z.looseObject({ type: z.literal('command'), command: z.string() })
const groupSchema = z.looseObject({ matcher: z.string().optional(), hooks: z.array(z.unknown()) })
const fileSchema = z.looseObject({
  disableAllHooks: z.boolean().optional().catch(undefined),
  hooks: z.record(z.string(), z.unknown()).catch({}).default({}),
})

export async function readAdditionalSettings(
  folders: readonly AdditionalFolder[],
): Promise<AdditionalSettings> {
  const settings: AdditionalSettings = { sessionStart: [], notices: [] }
  for (const place of folders) {
    for (const name of SETTINGS_FILES) {
      const text = await readPlainFile(join(place.folder, name))
      if (text !== undefined) addFile(settings, place, { name, text })
    }
  }
  return settings
}

function addFile(
  settings: AdditionalSettings,
  { name: repository, folder }: AdditionalFolder,
  { name, text }: { name: string; text: string },
): void {
  const file = parseFile(text)
  if (!file) {
    const path = `${repository}/${name}`
    settings.notices.push(`${path} is not valid JSON, so that nothing of it was followed.`)
    return
  }
  const { hooks, disableAllHooks = false, $schema: _, ...others } = file
  const { [FOLLOWED]: groups = [], ...otherHooks } = hooks
  const found = disableAllHooks ? { followed: [], ignored: 0 } : takeGroups(groups, folder)
  settings.sessionStart.push(...found.followed)
  const ignored = [
    ...Object.keys(others),
    ...Object.keys(otherHooks).map((event) => `hooks.${event}`),
    ...(found.ignored > 0 ? [`hooks.${FOLLOWED} that are no shell commands`] : []),
  ]
  if (ignored.length > 0) settings.notices.push(notFollowed(`${repository}/${name}`, ignored))
}

function notFollowed(where: string, what: string[]): string {
  return `Not followed of ${where}: ${what.join(', ')}. Of an additional repository CLAUDE.md, rules, skills, agents, commands, MCP servers and SessionStart hooks are; the rest is read from the main one.`
}

function parseFile(text: string): z.infer<typeof fileSchema> | undefined {
  try {
    return fileSchema.safeParse(JSON.parse(text)).data
  } catch {
    return undefined
  }
}

function takeGroups(groups: unknown, folder: string) {
  const followed: AdditionalSettings['sessionStart'] = []
  let ignored = 0
  for (const group of Array.isArray(groups) ? groups : [groups]) {
    const { data } = groupSchema.safeParse(group)
    const commands = (data?.hooks ?? []).flatMap((hook) => {
      const command = commandSchema.safeParse(hook).data
      // With `args` there is no shell that would go to the folder first.
      return command && !('args' in command) ? [inFolder(command, folder)] : []
    })
    ignored += (data?.hooks.length ?? 1) - commands.length
    if (commands.length > 0)
      followed.push({ ...(data?.matcher ? { matcher: data.matcher } : {}), hooks: commands })
  }
  return { followed, ignored }
}

/** As if the agent had been started there: its folder, and what a hook finds its own files by. */
function inFolder(hook: z.infer<typeof commandSchema>, folder: string) {
  const quoted = `'${folder.replaceAll("'", "'\\''")}'`
  const command = `export CLAUDE_PROJECT_DIR=${quoted}; cd ${quoted} || exit 1\n${hook.command}`
  return { ...hook, command }
}
