// What a session's sandbox is made from: the environment as the owner set it, and below that what the repository asks for.
// Pure. Never touches the network rules: those are the owner's, and change by a click alone.
import type { Environment, EnvironmentFile, Image } from '../../protocol/environment.ts'
import type { SessionState } from '../../protocol/session.ts'

export interface Recipe {
  /** Its image and variables are those of the session's sandbox. */
  environment: Environment
  /** Of the setup script: with the repository's own variables where the script is the repository's. Null without a script. */
  setup: Environment | null
  /** Whose registries count as trusted: those of the image that the owner chose. */
  reach: Image
}

export function recipeOf({
  environment: given,
  environmentFile: file,
}: Pick<SessionState, 'environment' | 'environmentFile'>): Recipe {
  const environment = { ...given, image: file?.image ?? given.image }
  return { environment, setup: setupOf(environment, file), reach: given.image }
}

function setupOf(environment: Environment, file: EnvironmentFile | null): Environment | null {
  if (environment.setup.trim() !== '') return environment
  if (!file || file.setup.trim() === '') return null
  const { setup, setupInputs } = file
  const variables = { ...file.variables, ...environment.variables }
  return { ...environment, setup, setupInputs, variables }
}

/** Whether a sandbox that was begun for one does for the other. */
export function isSameSandbox(one: Recipe, other: Recipe): boolean {
  const parts = ({ environment: { image }, setup }: Recipe) => JSON.stringify([image, setup])
  return parts(one) === parts(other)
}
