// The fields of an environment as they stand in a form, and the request that they become.
import type { EnvironmentPatch } from '../../../src/protocol/api.ts'
import { branchTemplateSchema } from '../../../src/protocol/branch-name.ts'
import { formatEnvText, parseEnvText } from '../../../src/protocol/env-text.ts'
import {
  type Environment,
  type Image,
  identitySchema,
  imageNameSchema,
} from '../../../src/protocol/environment.ts'
import { type NetworkDraft, networkProblemsIn, toNetwork, toNetworkDraft } from './network-draft.ts'

const GIB = 1024 ** 3

export interface EnvironmentDraft extends NetworkDraft {
  name: string
  imageKind: Image['kind']
  imageName: string
  imagePath: string
  variables: string
  setup: string
  setupInputs: string
  memoryGib: string
  cpus: string
  processes: string
  diskGib: string
  branchTemplate: string
  authorName: string
  authorEmail: string
  rewrite: boolean
}

export function toDraft(environment: Environment): EnvironmentDraft {
  const { name, image, network, variables, setup, setupInputs, limits, git } = environment
  return {
    ...{ name, setup, imageKind: image.kind },
    ...toNetworkDraft(network),
    imageName: image.kind === 'named' ? image.name : '',
    imagePath: image.kind === 'rootfs' ? image.path : '',
    variables: formatEnvText(variables),
    setupInputs: setupInputs.join('\n'),
    memoryGib: String(limits.memoryBytes / GIB),
    cpus: String(limits.cpus),
    processes: String(limits.processes),
    diskGib: String(limits.diskBytes / GIB),
    ...{ branchTemplate: git.branchTemplate, rewrite: git.rewrite },
    ...{ authorName: git.identity?.name ?? '', authorEmail: git.identity?.email ?? '' },
  }
}

export const EMPTY_DRAFT: EnvironmentDraft = {
  ...{
    name: '',
    imageKind: 'host',
    imageName: 'universal',
    imagePath: '',
    level: 'trusted',
    ...{ domains: '', rules: '' },
  },
  ...{ includeTrusted: true, variables: '', setup: '', setupInputs: '' },
  ...{ memoryGib: '4', cpus: '2', processes: '2048', diskGib: '20' },
  ...{ branchTemplate: 'errand/{slug}', authorName: '', authorEmail: '', rewrite: false },
}

export type Problems = Partial<Record<keyof EnvironmentDraft, string>>

/** What is wrong, said beside its field; what only the server knows it says itself. */
export function problemsIn(draft: EnvironmentDraft): Problems {
  const problems: Problems = networkProblemsIn(draft)
  if (!draft.name.trim()) problems.name = 'Give it a name.'
  if (draft.imageKind === 'rootfs' && !draft.imagePath.startsWith('/'))
    problems.imagePath = 'The path of a folder or a tar on the machine of Errand starts with /.'
  if (draft.imageKind === 'named' && !imageNameSchema.safeParse(draft.imageName.trim()).success)
    problems.imageName = 'A name of small letters, digits and hyphens, such as universal.'
  const variables = parseEnvText(draft.variables)
  if (!variables.ok)
    problems.variables = `Line ${variables.error.line}: ${variables.error.message}.`
  for (const key of ['memoryGib', 'cpus', 'processes', 'diskGib'] as const)
    if (!(Number(draft[key]) > 0)) problems[key] = 'A number above 0.'
  if (!branchTemplateSchema.safeParse(draft.branchTemplate).success)
    problems.branchTemplate = 'A name of a branch, such as errand/{slug}.'
  const identity = identityIn(draft)
  if (identity !== null && !identitySchema.safeParse(identity).success)
    problems.authorEmail = 'Give both a name and an address, or neither.'
  return problems
}

function identityIn({ authorName, authorEmail }: EnvironmentDraft) {
  const identity = { name: authorName.trim(), email: authorEmail.trim() }
  return identity.name === '' && identity.email === '' ? null : identity
}

function imageOf({ imageKind, imageName, imagePath }: EnvironmentDraft): Image {
  switch (imageKind) {
    case 'host':
      return { kind: 'host' }
    case 'named':
      return { kind: 'named', name: imageName.trim() }
    case 'rootfs':
      return { kind: 'rootfs', path: imagePath.trim() }
  }
}

export function toFields(draft: EnvironmentDraft): EnvironmentPatch & { name: string } {
  const { setup } = draft
  return {
    name: draft.name.trim(),
    image: imageOf(draft),
    network: toNetwork(draft),
    variablesText: draft.variables,
    setup,
    setupInputs: linesOf(draft.setupInputs),
    limits: {
      memoryBytes: Math.round(Number(draft.memoryGib) * GIB),
      cpus: Number(draft.cpus),
      processes: Number(draft.processes),
      diskBytes: Math.round(Number(draft.diskGib) * GIB),
    },
    git: {
      ...{ branchTemplate: draft.branchTemplate.trim(), rewrite: draft.rewrite },
      identity: identityIn(draft),
    },
  }
}

function linesOf(text: string): string[] {
  return text
    .split(/[\n,]+/)
    .map((line) => line.trim())
    .filter(Boolean)
}
