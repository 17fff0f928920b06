// `.errand/environment.yaml`: what a repository asks for, as data. Pure and total: whatever cannot be followed becomes
// a notice and never a failed session. Everything of it is hostile input: it sets nothing that the owner has set, and what
// would widen the network is only a wish.
import { isMap, isScalar, LineCounter, parseDocument } from 'yaml'
import { z } from 'zod'
import { parseEnvText } from '../../protocol/env-text.ts'
import {
  type Environment,
  type EnvironmentFile,
  type EnvironmentFileText,
  imageNameSchema,
  isWider,
  networkPolicySchema,
  setupInputsSchema,
  setupSchema,
  variablesSchema,
} from '../../protocol/environment.ts'
import { isProtectedVariable } from '../../protocol/protected-variables.ts'

const NAME = '.errand/environment.yaml'
const MOST_NOTICES = 20
const MOST_ALIASES = 50

/** All values are text: the file is read without guessing what is a number or a date. */
const networkSchema = z.strictObject({
  level: networkPolicySchema.shape.level.optional(),
  domains: networkPolicySchema.shape.domains,
  includeTrusted: z.enum(['true', 'false']).default('false'),
})

interface Reading {
  file: EnvironmentFile
  environment: Environment
  hasImage: boolean
  note(text: string, line?: number): void
}
type Take = (value: unknown, reading: Reading) => string | undefined

export function readEnvironmentFile(
  { text, truncated, hasImage }: EnvironmentFileText,
  environment: Environment,
): EnvironmentFile {
  const file: EnvironmentFile = {
    ...{ image: null, variables: {}, setup: '', setupInputs: [], network: null, notices: [] },
  }
  const note = (what: string, line?: number) => {
    const at = line === undefined ? NAME : `${NAME}, line ${line}`
    if (file.notices.length < MOST_NOTICES) file.notices.push(`${at}: ${what}`)
  }
  if (truncated) {
    note('the file is longer than 64 KiB, so that nothing of it was followed')
    return file
  }
  for (const { name, value, line } of readKeys(text, note)) {
    const take = TAKES[name]
    const known = Object.keys(TAKES).join(', ')
    const problem = take
      ? take(value, { file, environment, hasImage, note })
      : `there is no such key; known are ${known}`
    if (problem !== undefined) note(`${name.slice(0, 60)}: ${problem}`, line)
  }
  return file
}

interface Key {
  name: string
  value: unknown
  line: number | undefined
}

function readKeys(text: string, note: Reading['note']): Key[] {
  const lineCounter = new LineCounter()
  const document = parseDocument(text, { schema: 'failsafe', lineCounter, logLevel: 'silent' })
  const { contents, errors } = document
  const [error] = errors
  if (error) {
    const [said = ''] = error.message.split(/ at line \d|\n/)
    note(`this is not valid YAML: ${said}`, error.linePos?.[0].line)
    return []
  }
  if (!isMap(contents)) {
    if (contents !== null) note('keys with values are expected')
    return []
  }
  const values = toValues(document)
  if (!values) {
    note('it refers to itself too often')
    return []
  }
  return contents.items.map(({ key }) => {
    const name = isScalar(key) ? String(key.value) : ''
    const line = isScalar(key) && key.range ? lineCounter.linePos(key.range[0]).line : undefined
    return { name, value: values[name], line }
  })
}

/** Aliases are bounded: a few bytes of them must not become gigabytes. */
function toValues(document: ReturnType<typeof parseDocument>): Record<string, unknown> | undefined {
  try {
    return document.toJS({ maxAliasCount: MOST_ALIASES })
  } catch {
    return undefined
  }
}

const TAKES: Readonly<Record<string, Take>> = Object.assign(Object.create(null), {
  image: (value, { file, environment: { image }, hasImage }) => {
    const name = imageNameSchema.safeParse(value).data
    if (name === undefined) return 'the name of an image is expected'
    if (Object.values(image).includes(name)) return undefined
    if (image.kind !== 'host') return `"${name}" is asked for; the environment's own image is used`
    if (!hasImage)
      return `"${name}" is not on this machine, so that the environment's own is used: build it or take it in (errand image)`
    file.image = { kind: 'named', name }
    return undefined
  },
  setup: (value, { file, environment }) => {
    const setup = setupSchema.safeParse(value)
    if (!setup.success) return 'a script of at most 64 KiB is expected'
    if (environment.setup === '') file.setup = setup.data
    return environment.setup === ''
      ? undefined
      : "the environment's own setup script is used instead"
  },
  setupInputs: (value, { file, environment }) => {
    const inputs = setupInputsSchema.safeParse(value)
    if (!inputs.success) return 'a list of paths within the repository is expected'
    if (environment.setup === '') file.setupInputs = inputs.data
    return undefined
  },
  variables: (value, { file, environment, note }) => {
    const read = typeof value === 'string' ? readEnv(value) : variablesSchema.safeParse(value).data
    if (read === undefined) return 'names with text, or text in .env form, are expected'
    if (typeof read === 'string') return read
    const names = Object.keys(read)
    const refused = names.filter(isProtectedVariable)
    if (refused.length > 0) note(`variables: a repository cannot set ${refused.join(', ')}`)
    const own = names.filter(
      (name) => !isProtectedVariable(name) && !(name in environment.variables),
    )
    file.variables = Object.fromEntries(own.map((name) => [name, read[name] ?? '']))
    return undefined
  },
  network: (value, { file, environment }) => {
    const network = networkSchema.safeParse(value)
    if (!network.success) return 'level, domains and includeTrusted are expected'
    const { level = 'custom', domains, includeTrusted } = network.data
    const isMore = level === 'trusted' && domains.length > 0
    const asked = isMore
      ? { level: 'custom' as const, domains, includeTrusted: true }
      : { level, domains, includeTrusted: includeTrusted === 'true' }
    if (isWider(asked, environment.network)) file.network = asked
    return undefined
  },
} satisfies Record<string, Take>)

function readEnv(text: string): Record<string, string> | string {
  const parsed = parseEnvText(text)
  return parsed.ok ? parsed.variables : `line ${parsed.error.line} of them: ${parsed.error.message}`
}
