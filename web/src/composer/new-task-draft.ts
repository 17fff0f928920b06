// The fields of a new task and the request that they become; what is missing is said in a sentence.
import type { NewSession } from '../../../src/protocol/api.ts'
import type { NetworkLevel } from '../../../src/protocol/environment.ts'
import type { Access, Mode } from '../../../src/protocol/session.ts'

export interface AdditionalFields {
  /** Tells it from the others while they are edited. */
  key: number
  url: string
  baseBranch: string
  access: Access
}

export interface TaskFields {
  sourceKind: 'remote' | 'session'
  url: string
  baseBranch: string
  sessionId: string
  /** Further repositories; one without an address counts for nothing. */
  additional: AdditionalFields[]
  /** A name; empty for the default of the repository. */
  environment: string
  /** `environment` leaves the level of the environment as it is. */
  network: NetworkLevel | 'environment'
  domains: string
  includeTrusted: boolean
  mode: Mode
  model: string | null
}

export const EMPTY_FIELDS: TaskFields = {
  sourceKind: 'remote',
  url: '',
  baseBranch: '',
  sessionId: '',
  additional: [],
  environment: '',
  network: 'environment',
  domains: '',
  includeTrusted: true,
  mode: 'work',
  model: null,
}

export function missingIn(fields: TaskFields, prompt: string): string | null {
  if (fields.sourceKind === 'remote' && !fields.url.trim())
    return 'Say which repository to work on.'
  if (fields.sourceKind === 'session' && !fields.sessionId)
    return 'Choose the session whose branch to go on from.'
  if (!prompt.trim()) return 'Say what should be done.'
  if (fields.network === 'custom' && !fields.includeTrusted && domainsOf(fields).length === 0)
    return 'Name at least one host, or choose another network level.'
  return null
}

export function toNewSession(fields: TaskFields, prompt: string): NewSession {
  const command = prompt.startsWith('!')
  const { baseBranch, environment, mode, model } = fields
  return {
    prompt: command ? prompt.slice(1).trim() : prompt.trim(),
    kind: command ? 'command' : 'agent',
    source:
      fields.sourceKind === 'remote'
        ? { kind: 'remote', url: fields.url.trim() }
        : { kind: 'session', sessionId: fields.sessionId },
    baseBranch: (fields.sourceKind === 'remote' && baseBranch.trim()) || null,
    additional: fields.additional
      .filter(({ url }) => url.trim() !== '')
      .map(({ url, baseBranch: start, access }) => {
        const source = { kind: 'remote' as const, url: url.trim() }
        return { source, baseBranch: start.trim() || null, access }
      }),
    mode,
    model,
    ...(environment === '' ? {} : { environment }),
    ...(fields.network === 'environment' ? {} : { network: networkOf(fields, fields.network) }),
  }
}

function networkOf(fields: TaskFields, level: NetworkLevel) {
  return level === 'custom'
    ? { level, domains: domainsOf(fields), includeTrusted: fields.includeTrusted }
    : { level, domains: [], includeTrusted: false }
}

function domainsOf(fields: TaskFields): string[] {
  return fields.domains.split(/[\s,]+/).filter(Boolean)
}
