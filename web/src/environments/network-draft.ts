// What may be reached, as it stands in a form, and the policy that it becomes: hosts and rules are text, one on each line.
import {
  describeRule,
  domainPatternSchema,
  type NetworkLevel,
  type NetworkPolicy,
  parseRule,
  type RequestRule,
} from '../../../src/protocol/environment.ts'

export interface NetworkDraft {
  level: NetworkLevel
  /** One on each line. */
  domains: string
  /** As `describeRule` writes them, one on each line. */
  rules: string
  includeTrusted: boolean
}

export type NetworkProblems = Partial<Record<'domains' | 'rules', string>>

export function toNetworkDraft(network: NetworkPolicy): NetworkDraft {
  const { level, domains, rules = [], includeTrusted } = network
  return {
    ...{ level, includeTrusted, domains: domains.join('\n') },
    rules: rules.map(describeRule).join('\n'),
  }
}

/** The first line that is wrong, of each. */
export function networkProblemsIn(draft: NetworkDraft): NetworkProblems {
  const { level, includeTrusted } = draft
  const problems: NetworkProblems = {}
  const domains = level === 'custom' ? domainProblem(draft.domains) : undefined
  const rules = readsRules(level) ? ruleProblem(draft.rules) : undefined
  if (domains) problems.domains = domains
  if (rules) problems.rules = rules
  const isEmpty = [draft.domains, draft.rules].every((text) => text.trim() === '')
  if (level === 'custom' && !includeTrusted && isEmpty)
    problems.domains = 'Name at least one host, or choose another level.'
  return problems
}

/** Of a draft without problems. What its level does not read stays as in `unread`. */
export function toNetwork(draft: NetworkDraft, unread?: NetworkPolicy): NetworkPolicy {
  const { level, includeTrusted } = draft
  const isCustom = level === 'custom'
  const rules = readsRules(level) ? rulesIn(draft.rules) : (unread?.rules ?? [])
  return {
    ...{ level, domains: isCustom ? domainsIn(draft.domains) : (unread?.domains ?? []) },
    ...(rules.length > 0 ? { rules } : {}),
    includeTrusted: isCustom ? includeTrusted : (unread?.includeTrusted ?? false),
  }
}

export function readsRules(level: NetworkLevel): boolean {
  return level === 'custom' || level === 'trusted'
}

/** Commas and blanks stand between hosts as well as line ends. */
export function domainsIn(text: string): string[] {
  return text.split(/[\s,]+/).filter(Boolean)
}

export function domainProblem(text: string): string | undefined {
  const isDomain = (part: string) => domainPatternSchema.safeParse(part).success
  return firstWrong(text, (line) => domainsIn(line).find((part) => !isDomain(part)), {
    because: 'is no host name, nor *. and a domain of two parts or more; with :port if needed',
  })
}

function ruleProblem(text: string): string | undefined {
  const wrongIn = (line: string) => (line === '' || parseRule(line) ? undefined : line)
  return firstWrong(text, wrongIn, {
    because: 'is no rule such as api.example.com GET,HEAD /v1/*',
  })
}

function firstWrong(
  text: string,
  wrongIn: (line: string) => string | undefined,
  { because }: { because: string },
): string | undefined {
  for (const [at, line] of text.split('\n').entries()) {
    const wrong = wrongIn(line.trim())
    if (wrong !== undefined) return `Line ${at + 1}: ${wrong} ${because}.`
  }
  return undefined
}

function rulesIn(text: string): RequestRule[] {
  return text.split('\n').flatMap((line) => parseRule(line) ?? [])
}
