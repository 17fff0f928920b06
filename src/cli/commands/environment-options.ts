// The options of `environment create` and `environment edit`, and what of an environment they stand for.
import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import type { EnvironmentPatch } from '../../protocol/api.ts'
import {
  type Environment,
  type Image,
  imageNameSchema,
  type NetworkLevel,
  type NetworkPolicy,
  networkLevelSchema,
  parseRule,
  type RequestRule,
} from '../../protocol/environment.ts'
import { AppError } from '../../protocol/errors.ts'
import type { CliDeps } from '../deps.ts'
import { plainLine } from '../terminal/plain-text.ts'

export interface NetworkOptions {
  network?: string
  allow?: string[]
  rule?: string[]
  /** False: none of those that there are. */
  rules?: boolean
  includeTrusted?: boolean
}

export interface EnvironmentOptions extends NetworkOptions {
  image?: string
  variables?: string
  setup?: string
  setupInput?: string[]
  memory?: string
  cpus?: string
  processes?: string
  disk?: string
  connectionsPerSecond?: string
  bytesPerDay?: string
  branches?: string
  author?: string
  rewrite?: boolean
}

export function addEnvironmentOptions(command: Command): void {
  const collect = (value: string, earlier: string[] = []) => [...earlier, value]
  command
    .option('--image <image>', '`host`, the name of an image, or the path of a root file system')
    .option('--network <level>', 'none, trusted, custom or full')
    .option('--allow <domain>', 'a domain of level custom; may be repeated', collect)
    .option(
      '--rule <rule>',
      'of trusted and custom: what may be asked of a host, as in "api.example.com GET,HEAD /v1/*"; repeatable',
      collect,
    )
    .option('--no-rules', 'take all rules away: whatever is asked of an allowed host may be asked')
    .option('--include-trusted', 'at level custom: what trusted allows as well')
    .option('--variables <file>', 'the variables in .env form; `-` reads standard input')
    .option('--setup <file>', 'the setup script; `-` reads standard input')
    .option('--setup-input <path>', 'a file of the repository that it needs; repeatable', collect)
    .option('--memory <size>', 'such as 4GiB')
    .option('--cpus <count>', 'such as 2 or 0.5')
    .option('--processes <count>', 'how many at once')
    .option('--disk <size>', 'such as 20GiB')
    .option('--connections-per-second <count>', 'how many it may open to hosts')
    .option('--bytes-per-day <size>', 'how much it may move to and from hosts, such as 20GiB')
    .option('--branches <template>', 'names of branches: errand/{slug}, also {id}, {user}, {date}')
    .option('--author <author>', '"Name <email>" that commits are by; "" for Errand\'s own')
    .option('--rewrite', 'sessions may replace commits of their own branch (push --force)')
    .option('--no-rewrite', 'they may only add to it')
}

/** What the options say; of a network or limits that are given in part, the rest is as in `current`. */
export async function readFields(
  deps: CliDeps,
  options: EnvironmentOptions,
  current?: Environment,
): Promise<EnvironmentPatch> {
  if (options.variables === '-' && options.setup === '-')
    throw new AppError('invalid', 'usage', 'only one of them can come from standard input')
  const { image, variables, setup, setupInput } = options
  const network = networkOf(options, current)
  const limits = limitsOf(options, current)
  const traffic = trafficOf(options, current)
  const git = gitOf(options, current)
  return {
    ...(image === undefined ? {} : { image: imageOf(image) }),
    ...(network ? { network } : {}),
    ...(variables === undefined ? {} : { variablesText: await readText(deps, variables) }),
    ...(setup === undefined ? {} : { setup: await readText(deps, setup) }),
    ...(setupInput === undefined ? {} : { setupInputs: setupInput }),
    ...(limits ? { limits } : {}),
    ...(traffic ? { traffic } : {}),
    ...(git ? { git } : {}),
  }
}

async function readText({ cwd, readStdin }: CliDeps, path: string): Promise<string> {
  if (path === '-') return readStdin()
  try {
    return await readFile(resolve(cwd, path), 'utf8')
  } catch (cause) {
    const message = `${plainLine(path)} cannot be read`
    throw new AppError('not_found', 'file_not_readable', message, { cause })
  }
}

function imageOf(text: string): Image {
  if (text === 'host') return { kind: 'host' }
  if (text.startsWith('/')) return { kind: 'rootfs', path: text }
  const name = imageNameSchema.safeParse(text)
  if (name.success) return { kind: 'named', name: name.data }
  const message = 'an image is `host`, a name such as universal, or an absolute path'
  throw new AppError('invalid', 'image_unknown', message)
}

export function networkOf(
  { network, allow, rule, includeTrusted, ...options }: NetworkOptions,
  current: Pick<Environment, 'network'> | undefined,
): NetworkPolicy | undefined {
  const isCustom = allow !== undefined || includeTrusted !== undefined
  const newRules = rulesFor({ rule, ...options }, current)
  if (network === undefined && !isCustom && newRules === undefined) return undefined
  const level = networkLevelSchema.safeParse(network ?? levelFor({ isCustom, rule }, current))
  if (!level.success)
    throw new AppError('invalid', 'level_unknown', 'a level is none, trusted, custom or full')
  if (isCustom && level.data !== 'custom')
    throw new AppError('invalid', 'level_not_custom', 'domains are allowed at level custom only')
  if (rule && (level.data === 'none' || level.data === 'full'))
    throw new AppError('invalid', 'level_without_rules', 'rules hold at trusted and custom only')
  const before = current?.network
  const rules = newRules ?? before?.rules
  return {
    level: level.data,
    domains: allow ?? before?.domains ?? [],
    ...(rules ? { rules } : {}),
    includeTrusted: includeTrusted ?? before?.includeTrusted ?? false,
  }
}

/** Undefined: as they are. */
function rulesFor(
  { rule, rules: keeps }: Pick<NetworkOptions, 'rule' | 'rules'>,
  current: Pick<Environment, 'network'> | undefined,
): RequestRule[] | undefined {
  return rule?.map(ruleOf) ?? (keeps === false && current ? [] : undefined)
}

/** Rules alone leave a level that reads them as it is, and taking them away leaves every level. */
function levelFor(
  { isCustom, rule }: { isCustom: boolean; rule: string[] | undefined },
  current: Pick<Environment, 'network'> | undefined,
): NetworkLevel {
  const level = current?.network.level ?? 'custom'
  if (isCustom) return 'custom'
  return rule === undefined || level === 'trusted' ? level : 'custom'
}

function ruleOf(text: string): RequestRule {
  const rule = parseRule(text)
  if (rule) return rule
  const message = `${plainLine(text)} is no rule such as "api.example.com GET,HEAD /v1/*"`
  throw new AppError('invalid', 'rule_invalid', message)
}

function limitsOf(
  { memory, cpus, processes, disk }: EnvironmentOptions,
  current: Environment | undefined,
): EnvironmentPatch['limits'] {
  const given = {
    ...(memory === undefined ? {} : { memoryBytes: bytesOf(memory) }),
    ...(cpus === undefined ? {} : { cpus: numberOf(cpus) }),
    ...(processes === undefined ? {} : { processes: numberOf(processes) }),
    ...(disk === undefined ? {} : { diskBytes: bytesOf(disk) }),
  }
  return Object.keys(given).length === 0 ? undefined : { ...current?.limits, ...given }
}

function trafficOf(
  { connectionsPerSecond, bytesPerDay }: EnvironmentOptions,
  current: Environment | undefined,
): EnvironmentPatch['traffic'] {
  const given = {
    ...(connectionsPerSecond === undefined
      ? {}
      : { connectionsPerSecond: numberOf(connectionsPerSecond) }),
    ...(bytesPerDay === undefined ? {} : { bytesPerDay: bytesOf(bytesPerDay) }),
  }
  return Object.keys(given).length === 0 ? undefined : { ...current?.traffic, ...given }
}

function gitOf(
  { branches, author, rewrite }: EnvironmentOptions,
  current: Environment | undefined,
): EnvironmentPatch['git'] {
  const given = {
    ...(branches === undefined ? {} : { branchTemplate: branches }),
    ...(author === undefined ? {} : { identity: identityOf(author) }),
    ...(rewrite === undefined ? {} : { rewrite }),
  }
  return Object.keys(given).length === 0 ? undefined : { ...current?.git, ...given }
}

function identityOf(text: string): { name: string; email: string } | null {
  if (text.trim() === '') return null
  const [, name = '', email = ''] = /^([^<>]+) <([^<>]+)>$/.exec(text.trim()) ?? []
  if (name !== '') return { name, email }
  throw new AppError('invalid', 'author_invalid', 'an author is written "Name <email>"')
}

const UNITS: Record<string, number> = { MIB: 1024 ** 2, GIB: 1024 ** 3, MB: 1e6, GB: 1e9 }

export function bytesOf(text: string): number {
  const [, count = '', unit = ''] = /^(\d+(?:\.\d+)?)\s*([KMG]i?B?)$/i.exec(text.trim()) ?? []
  const word = unit.toUpperCase()
  const factor = UNITS[word.length === 1 ? `${word}IB` : word]
  if (factor !== undefined) return Math.round(Number(count) * factor)
  throw new AppError(
    'invalid',
    'size_invalid',
    `${plainLine(text)} is no size such as 4GiB or 512MiB`,
  )
}

export function numberOf(text: string): number {
  const count = Number(text)
  if (text.trim() !== '' && Number.isFinite(count)) return count
  throw new AppError('invalid', 'number_invalid', `${plainLine(text)} is no number`)
}
