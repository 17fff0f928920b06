// Saved environments: list, show, make, edit, copy, archive, and which one a session starts with. Sessions keep what they
// started with, so that nothing here changes one that runs.
import { resolve } from 'node:path'
import type { Command } from 'commander'
import type { Client } from '../../client/client.ts'
import type { EnvironmentDefaults, EnvironmentSaved } from '../../protocol/api.ts'
import { formatEnvText } from '../../protocol/env-text.ts'
import { describeNetwork, type Environment } from '../../protocol/environment.ts'
import { AppError } from '../../protocol/errors.ts'
import { environmentIdSchema } from '../../protocol/ids.ts'
import { addCommand, type Cli, type Printer } from '../command.ts'
import { inspectRepository, isRemoteUrl } from '../repositories/repository.ts'
import { formatBytes, formatTable } from '../terminal/format.ts'
import { plainLine, plainText } from '../terminal/plain-text.ts'
import {
  addEnvironmentOptions,
  type EnvironmentOptions,
  readFields,
} from './environment-options.ts'

export function addEnvironmentCommands(cli: Cli, program: Command): void {
  const parent = program
    .command('environment')
    .alias('env')
    .description('saved environments: what a session wakes up in')
  addReading(cli, parent)
  addSaving(cli, parent)
  addRebuilding(cli, parent)
  addDefault(cli, parent)
}

function addReading(cli: Cli, parent: Command): void {
  addCommand<{ all?: boolean }>(
    cli,
    parent,
    { specification: 'list', description: 'list environments' },
    async (_, { connection: { client }, print, options }) => {
      const environments = await client.listEnvironments({ archived: options.all === true })
      const { environment } = await client.getEnvironmentDefaults()
      const rows = environments.map(({ id, name, image, network, archivedAt }) => {
        const mark = archivedAt ? 'archived' : id === environment ? 'default' : ''
        return [id, name, image.kind, network.level, mark]
      })
      print.json(environments)
      print.line(formatTable(['id', 'name', 'image', 'network', ''], rows).trimEnd())
    },
  ).option('--all', 'archived ones too')
  addCommand(
    cli,
    parent,
    { specification: 'show <name>', description: 'all that is saved of one; name or id' },
    async ([name], { connection: { client }, print }) => {
      const environment = await findEnvironment(client, name)
      print.json(environment)
      for (const line of describeEnvironment(environment)) print.line(line)
    },
  )
}

function addSaving(cli: Cli, parent: Command): void {
  const create = addCommand<EnvironmentOptions>(
    cli,
    parent,
    { specification: 'create <name>', description: 'make an environment' },
    async ([name = ''], { connection: { client }, print, options }) => {
      const fields = await readFields(cli.deps, options)
      printSaved(print, await client.createEnvironment({ ...fields, name }))
    },
  )
  addEnvironmentOptions(create)
  const edit = addCommand<EnvironmentOptions & { name?: string }>(
    cli,
    parent,
    { specification: 'edit <name>', description: 'change what is given; the rest stays' },
    async ([name], { connection: { client }, print, options }) => {
      const current = await findEnvironment(client, name)
      const fields = await readFields(cli.deps, options, current)
      const renamed = options.name === undefined ? {} : { name: options.name }
      printSaved(print, await client.patchEnvironment(current.id, { ...fields, ...renamed }))
    },
  ).option('--name <name>', 'a new name')
  addEnvironmentOptions(edit)
  addCommand(
    cli,
    parent,
    { specification: 'duplicate <name> [copy]', description: 'copy it under another name' },
    async ([name, copy], { connection: { client }, print }) => {
      const { id } = await findEnvironment(client, name)
      printSaved(print, await client.duplicateEnvironment(id, copy))
    },
  )
  addCommand(
    cli,
    parent,
    {
      specification: 'archive <name>',
      description: 'nothing new starts with it; what runs goes on',
    },
    async ([name], { connection: { client }, print }) => {
      // Also where the list has none of that id, since this version cannot read it.
      const given = environmentIdSchema.safeParse(name).data
      const id = given ?? (await findEnvironment(client, name)).id
      const archived = await client.archiveEnvironment(id)
      print.json(archived)
      print.line(`${plainLine(archived.name)} is archived`)
    },
  )
}

function addRebuilding(cli: Cli, parent: Command): void {
  addCommand(
    cli,
    parent,
    {
      specification: 'rebuild <name>',
      description: 'the next session runs its setup script again; what runs keeps what it has',
    },
    async ([name], { connection: { client }, print }) => {
      const { layers } = await client.rebuildEnvironment((await findEnvironment(client, name)).id)
      print.json({ layers })
      print.line(
        layers === 0
          ? 'The setup script has not run yet.'
          : 'The next session runs the setup script again.',
      )
    },
  )
}

function addDefault(cli: Cli, parent: Command): void {
  addCommand<{ repository?: string; forget?: boolean }>(
    cli,
    parent,
    {
      specification: 'default [name]',
      description: 'which one a session gets that names none; without a name it is shown',
    },
    async ([name], { connection: { client }, print, options }) => {
      const repository = await repositoryOf(cli, options.repository)
      if (name === undefined && !options.forget)
        return printDefaults(client, print, await client.getEnvironmentDefaults())
      const chosen = name === undefined ? null : (await findEnvironment(client, name)).id
      const choice = { repository, environment: chosen }
      return printDefaults(client, print, await client.setEnvironmentDefault(choice))
    },
  )
    .option('--repository <url>', 'for this repository only; a folder stands for its origin')
    .option('--forget', 'take the choice back')
}

/** By id, else among those that are not archived by name. */
export async function findEnvironment(
  client: Client,
  name: string | undefined,
): Promise<Environment> {
  const all = await client.listEnvironments({ archived: true })
  const found =
    all.find(({ id }) => id === name) ??
    all.find((one) => one.name === name && one.archivedAt === null)
  if (found) return found
  const known = all.filter(({ archivedAt }) => archivedAt === null).map((one) => one.name)
  throw new AppError(
    'not_found',
    'environment_not_found',
    `there is no environment ${plainLine(name ?? '')}; there are ${known.map(plainLine).join(', ')}`,
  )
}

async function repositoryOf({ deps, git }: Cli, text: string | undefined): Promise<string | null> {
  if (text === undefined || isRemoteUrl(text)) return text ?? null
  const { origin } = await inspectRepository(git, resolve(deps.cwd, text), undefined)
  if (origin !== null) return origin
  throw new AppError(
    'invalid',
    'repository_without_origin',
    `the repository in ${plainLine(text)} has no origin to know it by`,
  )
}

function describeEnvironment(environment: Environment): string[] {
  const { name, id, image, network, limits, setup, setupInputs, archivedAt } = environment
  const field = (label: string, value: string) => `${label.padEnd(10)} ${plainLine(value)}`
  const block = (label: string, text: string) =>
    text.trim() === ''
      ? [field(label, 'none')]
      : [
          `${label}:`,
          ...plainText(text.trimEnd())
            .split('\n')
            .map((line) => `  ${line}`),
        ]
  const reach = `${network.level}: ${describeNetwork(network)}`
  const { memoryBytes, cpus, processes, diskBytes } = limits
  const most = `${formatBytes(memoryBytes)} memory, ${cpus} CPUs, ${processes} processes, ${formatBytes(diskBytes)} disk`
  return [
    field('name', archivedAt ? `${name} (archived)` : name),
    field('id', id),
    field('image', Object.values(image).join(' ')),
    field('network', reach),
    field('limits', most),
    ...block('variables', formatEnvText(environment.variables)),
    ...block('setup', setup),
    ...(setupInputs.length > 0 ? [field('inputs', setupInputs.join(', '))] : []),
  ]
}

function printSaved(print: Printer, saved: EnvironmentSaved): void {
  print.json(saved)
  print.line(`${saved.id}  ${plainLine(saved.name)}`)
  for (const { name, host } of saved.hints) {
    const credential = `errand credential add ${host ?? '<host>'}${host ? '' : ` --kind bearer --variable ${plainLine(name)}`}`
    print.note(
      `${plainLine(name)} looks like a secret, and the agent can read variables. It is better kept with: ${credential}`,
    )
  }
}

async function printDefaults(
  client: Client,
  print: Printer,
  defaults: EnvironmentDefaults,
): Promise<void> {
  const names = new Map((await client.listEnvironments()).map(({ id, name }) => [id, name]))
  const nameOf = (id: string) => names.get(id) ?? id
  const rows = defaults.repositories.map((one) => [one.repository, nameOf(one.environment)])
  print.json(defaults)
  print.line(
    formatTable(
      ['repository', 'environment'],
      [...rows, [rows.length === 0 ? 'all' : 'all others', nameOf(defaults.environment)]],
    ).trimEnd(),
  )
}
