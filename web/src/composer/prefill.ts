// A new task that an address of the page describes, for links and bookmarks: `/?prompt=…&repositories=…&environment=…`. Nothing
// is started by it: somebody reads the task and sends it.
import type { Environment } from '../../../src/protocol/environment.ts'
import { EMPTY_FIELDS, type TaskFields } from './new-task-draft.ts'

/** As in the address; `q` and `repo` are short for the first two. */
export interface Prefill {
  prompt?: string
  /** Addresses with commas between them. */
  repositories?: string
  /** A name or an id. */
  environment?: string
}

export function readPrefill(search: Record<string, unknown>): Prefill {
  // The router reads numbers and the like out of an address.
  const text = (...names: string[]) =>
    names
      .map((name) => String(search[name] ?? '').trim())
      .find((value) => value !== '' && value !== '[object Object]')
  const found = {
    prompt: text('prompt', 'q'),
    repositories: text('repositories', 'repo'),
    environment: text('environment'),
  }
  return Object.fromEntries(Object.entries(found).filter(([, value]) => value !== undefined))
}

/** The fields that it says something about; of a task on other repositories than before all of them. */
export function prefilled({ repositories, environment }: Prefill): Partial<TaskFields> {
  const [url, ...others] = (repositories ?? '').split(',').map((address) => address.trim())
  const additional = others
    .filter((address) => address !== '')
    .map((address, key) => ({ key, url: address, baseBranch: '', access: 'write' as const }))
  return {
    ...(url ? { ...EMPTY_FIELDS, url } : {}),
    ...(additional.length > 0 ? { additional } : {}),
    ...(environment ? { environment } : {}),
  }
}

/** The name of the environment that was asked for by name or id; undefined when there is none to choose. */
export function namedEnvironment(
  asked: string,
  environments: readonly Pick<Environment, 'id' | 'name' | 'archivedAt'>[],
): string | undefined {
  return environments.find(
    ({ id, name, archivedAt }) => !archivedAt && (id === asked || name === asked),
  )?.name
}
