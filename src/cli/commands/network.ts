// `errand network`: what a session may reach, what the owner allows or refuses for all of them, and what trusted stands for.
import type { Command } from 'commander'
import type { TrustedHosts } from '../../protocol/api.ts'
import { describeNetwork } from '../../protocol/environment.ts'
import { AppError } from '../../protocol/errors.ts'
import type { InstallationNetwork } from '../../protocol/installation-network.ts'
import { addCommand, type Cli, sessionId, shortId } from '../command.ts'
import { formatBytes, formatTable } from '../terminal/format.ts'
import { plainLine } from '../terminal/plain-text.ts'
import { bytesOf, type NetworkOptions, networkOf, numberOf } from './environment-options.ts'

const collect = (value: string, earlier: string[] = []) => [...earlier, value]

export function addNetworkCommands(cli: Cli, program: Command): void {
  const parent = program.command('network').description('what sessions may reach')
  addSet(cli, parent)
  addLists(cli, parent)
  addTrusted(cli, parent)
}

function addSet(cli: Cli, parent: Command): void {
  addCommand<NetworkOptions>(
    cli,
    parent,
    {
      specification: 'set <id>',
      description: 'what a session may reach from now on, also one that works',
    },
    async ([id], { connection: { client }, print, options }) => {
      const { environment } = await client.getSession(sessionId(id))
      const network = networkOf(options, environment)
      if (!network) throw new AppError('invalid', 'usage', 'say what: --network, --allow, --rule')
      const session = await client.patchSession(sessionId(id), { network })
      print.json(session)
      const reach = plainLine(describeNetwork(session.environment.network))
      print.line(`${shortId(session)} may reach ${reach}`)
    },
  )
    .option('--network <level>', 'none, trusted, custom or full')
    .option('--allow <domain>', 'a domain of level custom; may be repeated', collect)
    .option(
      '--rule <rule>',
      'of trusted and custom: what may be asked of a host, as in "api.example.com GET,HEAD /v1/*"; repeatable',
      collect,
    )
    .option('--no-rules', 'take all rules away: whatever is asked of an allowed host may be asked')
    .option('--include-trusted', 'at level custom: what trusted allows as well')
}

interface ListOptions {
  allow?: string[]
  deny?: string[]
  remove?: string[]
  connectionsPerSecond?: string
  bytesPerDay?: string
}

function addLists(cli: Cli, parent: Command): void {
  addCommand<ListOptions>(
    cli,
    parent,
    {
      specification: 'lists',
      description: 'hosts that are allowed or refused in every session; the owner changes them',
    },
    async (_, { connection: { client }, print, options }) => {
      const before = await client.getInstallationNetwork()
      const isChange =
        Object.values(options).some((value) => Array.isArray(value)) ||
        options.connectionsPerSecond !== undefined ||
        options.bytesPerDay !== undefined
      const lists = isChange
        ? await client.patchInstallationNetwork(changesOf(before, options))
        : before
      print.json(lists)
      for (const line of describeLists(lists)) print.line(line)
    },
  )
    .option('--deny <domain>', 'refuse it everywhere, whatever else allows it; repeatable', collect)
    .option('--allow <domain>', 'allow it at every level but none; repeatable', collect)
    .option('--remove <domain>', 'take it off both lists; repeatable', collect)
    .option('--connections-per-second <count>', 'most that a session may open; `off` for none')
    .option('--bytes-per-day <size>', 'most that a session may move, such as 20GiB; or `off`')
}

function changesOf(before: InstallationNetwork, options: ListOptions) {
  const { allow = [], deny = [], remove = [], connectionsPerSecond, bytesPerDay } = options
  const list = (kept: string[], added: string[]) =>
    [...kept, ...added].filter((domain) => !remove.includes(domain))
  const limit = (text: string, read: (text: string) => number) =>
    text === 'off' ? null : read(text)
  return {
    allow: list(before.allow, allow),
    deny: list(before.deny, deny),
    limits: {
      ...(connectionsPerSecond === undefined
        ? {}
        : { connectionsPerSecond: limit(connectionsPerSecond, numberOf) }),
      ...(bytesPerDay === undefined ? {} : { bytesPerDay: limit(bytesPerDay, bytesOf) }),
    },
  }
}

function describeLists({ allow, deny, limits }: InstallationNetwork): string[] {
  const { connectionsPerSecond, bytesPerDay } = limits
  const rows: [string, string][] = [
    ['refused', deny.join(', ') || 'nothing'],
    ['allowed', allow.join(', ') || 'nothing more than each session allows'],
    [
      'connections',
      connectionsPerSecond === null
        ? 'as the environment says'
        : `${connectionsPerSecond} a second at most`,
    ],
    [
      'bytes',
      bytesPerDay === null
        ? 'as the environment says'
        : `${formatBytes(bytesPerDay)} a day at most`,
    ],
  ]
  return rows.map(([name, value]) => `${name.padEnd(12)} ${plainLine(value)}`)
}

function addTrusted(cli: Cli, parent: Command): void {
  addCommand<{ environment?: string }>(
    cli,
    parent,
    {
      specification: 'trusted',
      description: 'what the level trusted allows, why, and which registries were found',
    },
    async (_, { connection: { client }, print, options }) => {
      const trusted = await client.getTrustedHosts(options.environment)
      print.json(trusted)
      for (const line of describeTrusted(trusted)) print.line(line)
    },
  ).option('--environment <name>', 'whose image is looked at; the default one unless told')
}

function describeTrusted({ environment, groups, registries }: TrustedHosts): string[] {
  const rows = registries.map(({ tool, host, port, from }) =>
    [tool, `${host}:${port}`, from].map(plainLine),
  )
  return [
    ...groups.flatMap(({ group, reason, domains }) => [
      plainLine(group),
      `  ${plainLine(reason)}`,
      `  ${plainLine(domains.join(', '))}`,
      '',
    ]),
    `Package registries that the image of ${plainLine(environment)} is set up for`,
    ...(rows.length > 0
      ? formatTable(['tool', 'host', 'named by'], rows).trimEnd().split('\n')
      : ['  none were found']),
  ]
}
