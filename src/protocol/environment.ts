// An environment: the saved recipe that a session's sandbox is made from. A session keeps a copy of what it started with.
import { z } from 'zod'
import { branchTemplateSchema } from './branch-name.ts'
import { environmentIdSchema } from './ids.ts'

export const networkLevelSchema = z.enum(['none', 'trusted', 'custom', 'full'])
export type NetworkLevel = z.infer<typeof networkLevelSchema>

/**
 * A host name, or `*.` and a domain of at least two labels for all its subdomains. Never `*` alone and never `*.com`:
 * who wants everything says `full`. With `:` and a port it stands for that port alone.
 */
export const domainPatternSchema = z
  .string()
  .trim()
  .toLowerCase()
  .max(259)
  .regex(
    /^(?:\*\.(?=[^.]+\.[^.]+))?(?!-)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*(?::(?:[1-9]\d{0,3}|[1-5]\d{4}|6[0-4]\d{3}|65[0-4]\d\d|655[0-2]\d|6553[0-5]))?$/,
    'not a host name, nor *. and a domain of two labels or more',
  )

/** What may be asked of a host. Its TLS is ended at the gateway, which reads method and path. */
export const requestRuleSchema = z.object({
  host: domainPatternSchema,
  /** Any when empty. */
  methods: z
    .array(
      z
        .string()
        .trim()
        .toUpperCase()
        .regex(/^[A-Z]{1,20}$/, 'not a method such as GET'),
    )
    .max(20)
    .default([]),
  /** Any when empty. `*` at the end stands for all that follows, elsewhere for a part between slashes. */
  paths: z
    .array(
      z
        .string()
        .trim()
        .max(500)
        .regex(/^\/[^\s?#%\\]*$/, 'not a path such as /v1/*')
        .refine(
          (path) => !/\/\/|(?:^|\/)\.\.?(?:\/|;|$)/.test(path),
          'a path without //, . and ..',
        ),
    )
    .max(50)
    .default([]),
})
export type RequestRule = z.infer<typeof requestRuleSchema>

export const networkPolicySchema = z.object({
  level: networkLevelSchema,
  /** Only read at level `custom`. */
  domains: z.array(domainPatternSchema).max(1000).default([]),
  /** Read at levels `trusted` and `custom`: a host that is named here is reached by its rules alone, whatever else lists it. None when absent. */
  rules: z.array(requestRuleSchema).max(500).optional(),
  /** At level `custom`: allow what `trusted` allows as well. */
  includeTrusted: z.boolean().default(false),
})
export type NetworkPolicy = z.infer<typeof networkPolicySchema>

/** The rules that its level reads. */
export function rulesOf({ level, rules = [] }: NetworkPolicy): RequestRule[] {
  return level === 'trusted' || level === 'custom' ? rules : []
}

/** What reaches everything that either reaches. */
export function joinNetworks(one: NetworkPolicy, other: NetworkPolicy): NetworkPolicy {
  const both = [one, other]
  const nothing = { domains: [], includeTrusted: false }
  if (both.some(({ level }) => level === 'full')) return { level: 'full', ...nothing }
  const listed = both.flatMap(({ level, domains }) => (level === 'custom' ? domains : []))
  const domains = [...new Set(listed)].sort()
  const rules = distinct([...joinedRules(one, other), ...joinedRules(other, one)])
  const includeTrusted = both.some(
    ({ level, includeTrusted: includes }) =>
      level === 'trusted' || (level === 'custom' && includes),
  )
  if (rules.length > 0) return { level: 'custom', domains, rules, includeTrusted }
  if (domains.length > 0) return { level: 'custom', domains, includeTrusted }
  return { ...nothing, level: includeTrusted ? 'trusted' : 'none' }
}

/** The rules of `one` that still hold beside `other`: not those of a host that `other` lists without any. */
function joinedRules(one: NetworkPolicy, other: NetworkPolicy): RequestRule[] {
  const ruled = new Set(rulesOf(other).map(({ host }) => host))
  const domains = other.level === 'custom' ? other.domains : []
  return rulesOf(one).filter(({ host }) => ruled.has(host) || !isListed(domains, host))
}

function isListed(domains: readonly string[], host: string): boolean {
  return domains.some(
    (domain) => domain === host || (domain.startsWith('*.') && host.endsWith(domain.slice(1))),
  )
}

function distinct(rules: RequestRule[]): RequestRule[] {
  const byText = new Map(rules.map((rule): [string, RequestRule] => [describeRule(rule), rule]))
  return [...byText].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, rule]) => rule)
}

/** As people write it: `api.example.com GET,HEAD /v1/*`. */
export function describeRule({ host, methods, paths }: RequestRule): string {
  return [host, methods.join(',') || '*', paths.join(',') || '/*'].join(' ')
}

/** What `describeRule` gives, read back; undefined when it names neither methods nor paths, or is no rule. */
export function parseRule(text: string): RequestRule | undefined {
  const [host, ...rest] = text.trim().split(/\s+/)
  if (rest.length === 0 || rest.length > 2) return undefined
  const isPath = (part: string) => part.startsWith('/')
  const list = (part: string | undefined) =>
    part === undefined || part === '*' ? [] : part.split(',')
  const methods = list(rest.find((part) => !isPath(part)))
  const paths = list(rest.find(isPath)).filter((path) => path !== '/*')
  const parsed = requestRuleSchema.safeParse({ host, methods, paths })
  return parsed.success ? parsed.data : undefined
}

/** In words, after "may reach". */
export function describeNetwork(policy: NetworkPolicy): string {
  const { level, domains, includeTrusted } = policy
  if (level === 'full') return 'every host'
  if (level === 'none') return 'nothing'
  const listed = level === 'custom' ? domains : []
  const trusted = level === 'trusted' || includeTrusted ? ['the trusted hosts'] : []
  return [...listed, ...rulesOf(policy).map(describeRule), ...trusted].join(', ') || 'nothing'
}

/** What reaches this host, or this domain, and nothing else. */
export function allowOnly(pattern: string): NetworkPolicy {
  return { level: 'custom', domains: [pattern], includeTrusted: false }
}

/** Whether both are the same, whatever their order and whatever their level does not read. */
export function isSameNetwork(one: NetworkPolicy, other: NetworkPolicy): boolean {
  return plainNetwork(one) === plainNetwork(other)
}

function plainNetwork(policy: NetworkPolicy): string {
  return JSON.stringify(joinNetworks(policy, policy))
}

/** Whether `asked` reaches something that `allowed` does not. */
export function isWider(asked: NetworkPolicy, allowed: NetworkPolicy): boolean {
  return !isSameNetwork(joinNetworks(asked, allowed), allowed)
}

/** An image that was built or imported here. */
export const imageNameSchema = z
  .string()
  .regex(/^[a-z][a-z0-9-]{0,62}$/, 'not a name of an image: small letters, digits and hyphens')

export const imageSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('host') }),
  z.object({ kind: z.literal('rootfs'), path: z.string().min(1).max(4096).startsWith('/') }),
  z.object({ kind: z.literal('named'), name: imageNameSchema }),
])
export type Image = z.infer<typeof imageSchema>

const GIB = 1024 ** 3
export const limitsSchema = z.object({
  memoryBytes: z
    .int()
    .min(256 * 1024 ** 2)
    .max(1024 * GIB)
    .default(4 * GIB),
  cpus: z.number().min(0.1).max(256).default(2),
  processes: z.int().min(64).max(32_768).default(2048),
  diskBytes: z
    .int()
    .min(256 * 1024 ** 2)
    .max(4096 * GIB)
    .default(20 * GIB),
})

/** How much a session may move through the gateway, its git and model requests apart. */
export const trafficLimitsSchema = z.object({
  /** New ones; four times as many may come at once. */
  connectionsPerSecond: z.int().min(1).max(1000).default(100),
  /** Both directions together, from midnight to midnight UTC. */
  bytesPerDay: z
    .int()
    .min(1024 ** 2)
    .max(1024 * 1024 * GIB)
    .default(100 * GIB),
})
export type TrafficLimits = z.infer<typeof trafficLimitsSchema>

export const variablesSchema = z.record(
  z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,254}$/),
  z.string().max(32_768),
)

/** A Bash script, run as root in a fresh sandbox with only `setupInputs` beside it. */
export const setupSchema = z.string().max(65_536)
/** Paths within the repository, lock files above all: relative, and never above its root. */
export const setupInputsSchema = z
  .array(
    z
      .string()
      .min(1)
      .max(500)
      .regex(
        /^(?!\/)(?!(?:.*\/)?\.\.?(?:\/|$))(?!.*\/\/)[^\0\\]*[^\0\\/]$/,
        'not a path of a file within the repository',
      ),
  )
  .max(50)

const linePart = (mostChars: number) =>
  z
    .string()
    .trim()
    .min(1)
    .max(mostChars)
    .regex(/^[^\p{Cc}<>]+$/u, 'no line breaks, < or >')

/** Who a session's commits are by, as git writes it: `name <email>`. */
export const identitySchema = z.object({ name: linePart(100), email: linePart(200) })

export const USUAL_BRANCH_TEMPLATE = 'errand/{slug}'

export const gitSettingsSchema = z.object({
  /** The usual one stands for the installation's own. */
  branchTemplate: branchTemplateSchema.default(USUAL_BRANCH_TEMPLATE),
  /** The installation's own when null. */
  identity: identitySchema.nullable().default(null),
  /** A session may replace commits of its own branch (`push --force`). */
  rewrite: z.boolean().default(false),
})

export const environmentFieldsSchema = z.object({
  name: z.string().trim().min(1).max(80),
  image: imageSchema.default({ kind: 'host' }),
  network: networkPolicySchema.default({ level: 'trusted', domains: [], includeTrusted: false }),
  /** Readable by the agent: not a place for secrets. */
  variables: variablesSchema.default({}),
  setup: setupSchema.default(''),
  setupInputs: setupInputsSchema.default([]),
  limits: limitsSchema.prefault({}),
  traffic: trafficLimitsSchema.prefault({}),
  git: gitSettingsSchema.prefault({}),
})
export type EnvironmentFields = z.infer<typeof environmentFieldsSchema>

export const environmentFileTextSchema = z.object({
  text: z.string(),
  truncated: z.boolean(),
  /** Whether the image that it names is on this machine. */
  hasImage: z.boolean().default(false),
})
export type EnvironmentFileText = z.infer<typeof environmentFileTextSchema>

/** What a repository's `.errand/environment.yaml` asks for. It holds under what the owner set, and never widens that. */
export const environmentFileSchema = z.object({
  /** Null when the environment's own is used. */
  image: imageSchema.nullable().default(null),
  variables: variablesSchema,
  setup: setupSchema,
  setupInputs: setupInputsSchema,
  /** Only what the session's environment does not allow already; null when there is nothing to allow. */
  network: networkPolicySchema.nullable(),
  /** What of the file was not followed, for people. */
  notices: z.array(z.string()),
})
export type EnvironmentFile = z.infer<typeof environmentFileSchema>

export const environmentSchema = environmentFieldsSchema.extend({
  id: environmentIdSchema,
  archivedAt: z.string().nullable().default(null),
})
export type Environment = z.infer<typeof environmentSchema>
