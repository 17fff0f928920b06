// The network of every session as it stands in a form, and the change that it becomes.
import {
  type InstallationNetwork,
  type InstallationNetworkPatch,
  installationNetworkSchema,
} from '../../../src/protocol/installation-network.ts'
import { domainProblem, domainsIn } from '../environments/network-draft.ts'

/** All as text: lists with one host on each line, limits empty where there is none. */
export type InstallationDraft = Record<
  'allow' | 'deny' | 'connectionsPerSecond' | 'gibPerDay',
  string
>

const GIB = 1024 ** 3

export function toInstallationDraft({
  allow,
  deny,
  limits,
}: InstallationNetwork): InstallationDraft {
  const { connectionsPerSecond, bytesPerDay } = limits
  return {
    ...{ allow: allow.join('\n'), deny: deny.join('\n') },
    connectionsPerSecond: connectionsPerSecond === null ? '' : String(connectionsPerSecond),
    gibPerDay: bytesPerDay === null ? '' : String(bytesPerDay / GIB),
  }
}

export function installationProblemsIn(
  draft: InstallationDraft,
): Partial<Record<keyof InstallationDraft, string>> {
  const { limits } = toInstallationPatch(draft)
  const isLimit = (name: keyof typeof LIMIT_SHAPE) =>
    LIMIT_SHAPE[name].safeParse(limits[name]).success
  const problems = {
    ...{ allow: domainProblem(draft.allow), deny: domainProblem(draft.deny) },
    connectionsPerSecond: isLimit('connectionsPerSecond')
      ? undefined
      : 'A whole number from 1 to 1000.',
    gibPerDay: isLimit('bytesPerDay') ? undefined : 'A number above 0, such as 20 or 0.5.',
  }
  return Object.fromEntries(Object.entries(problems).filter(([, problem]) => problem))
}

const LIMIT_SHAPE = installationNetworkSchema.shape.limits.unwrap().shape

export function toInstallationPatch(
  draft: InstallationDraft,
): Required<InstallationNetworkPatch> & { limits: InstallationNetwork['limits'] } {
  const limit = (text: string, unit = 1) =>
    text.trim() === '' ? null : Math.round(Number(text) * unit * 1000) / 1000
  const bytesPerDay = limit(draft.gibPerDay, GIB)
  return {
    ...{ allow: domainsIn(draft.allow), deny: domainsIn(draft.deny) },
    limits: {
      connectionsPerSecond: limit(draft.connectionsPerSecond),
      bytesPerDay: bytesPerDay === null ? null : Math.round(bytesPerDay),
    },
  }
}
