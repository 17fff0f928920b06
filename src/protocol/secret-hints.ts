// Which variables look like secrets, by name or by the shape of the value. A guess that is shown to people and decides
// nothing: variables are read by the agent, so that a secret belongs into a credential. Pure; never repeats a value.
import { z } from 'zod'

export const secretHintSchema = z.object({
  name: z.string(),
  why: z.enum(['name', 'value']),
  /** The git host that it opens, when that can be told. */
  host: z.string().nullable(),
})
export type SecretHint = z.infer<typeof secretHintSchema>

const NAMES =
  /(?:^|_)(?:SECRET|TOKEN|PASSWORD|PASSWD|PASSPHRASE|PASS|PWD|APIKEY|CREDENTIALS?|PAT)(?:_|$)|(?:API|ACCESS|PRIVATE|SIGNING|ENCRYPTION|AUTH|SERVICE|DEPLOY|LICENSE)_?KEY/i
/** Which say where a secret is, or how much of it there is. */
const HARMLESS_NAMES =
  /(?:_FILE|_PATH|_URL|_HOST|_NAME|_LIMIT|_TTL|_LENGTH|_TOKENS)$|^(?:OLD)?PWD$/i
const HARMLESS_VALUES =
  /^(?:|true|false|none|null|\d{1,8}|\$\{?\w+\}?|<.*>|x+|changeme|placeholder|proxy-injected)$/i

const SHAPES: readonly { shape: RegExp; host: string | null }[] = [
  { shape: /^(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{30,})$/, host: 'github.com' },
  { shape: /^glpat-[A-Za-z0-9_-]{16,}$/, host: 'gitlab.com' },
  { shape: /^ATBB[A-Za-z0-9]{20,}$/, host: 'bitbucket.org' },
  { shape: /-----BEGIN (?:[A-Z ]+ )?PRIVATE KEY-----/, host: null },
  { shape: /^(?:AKIA|ASIA)[A-Z0-9]{16}$/, host: null },
  { shape: /^(?:sk|rk|pk)[-_](?:ant|live|test|proj)?[-_A-Za-z0-9]{20,}$/, host: null },
  { shape: /^xox[abeprs]-[A-Za-z0-9-]{10,}$/, host: null },
  { shape: /^npm_[A-Za-z0-9]{30,}$/, host: null },
  { shape: /^AIza[A-Za-z0-9_-]{35}$/, host: null },
  { shape: /^eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]+$/, host: null },
  { shape: /^[a-z][a-z0-9+.-]*:\/\/[^\s/:@]*:[^\s/@]+@/i, host: null },
]

const NAMED_HOSTS: readonly [RegExp, string][] = [
  [/^(?:GH|GITHUB)_/i, 'github.com'],
  [/^GITLAB_/i, 'gitlab.com'],
]

/** In the order of the variables; at most one for each. */
export function findSecretHints(variables: Readonly<Record<string, string>>): SecretHint[] {
  return Object.entries(variables).flatMap(([name, value]): SecretHint[] => {
    const shape = SHAPES.find((known) => known.shape.test(value.trim()))
    if (shape) return [{ name, why: 'value', host: shape.host }]
    const isNamed = NAMES.test(name) && !HARMLESS_NAMES.test(name)
    if (!isNamed || HARMLESS_VALUES.test(value.trim())) return []
    const host = NAMED_HOSTS.find(([pattern]) => pattern.test(name))?.[1] ?? null
    return [{ name, why: 'name', host }]
  })
}
