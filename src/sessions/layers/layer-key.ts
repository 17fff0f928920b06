// What makes two sessions share a layer: all that its making depends on, and nothing else. Pure.
import { createHash } from 'node:crypto'
import { describeRule, type Environment, type Image, rulesOf } from '../../protocol/environment.ts'
import type { LayerCheckout } from '../../store/layers.ts'

/** Counts up when layers of an earlier form are of no use any more. */
const FORMAT = 1
const CHECKOUT_FORMAT = 1

export interface LayerIngredients {
  ownerId: string
  environment: Environment
  /** Whose registries count. */
  reach: Image
  /** Tells one state of the image from another. */
  image: string
  /** `data` in base64. */
  files: readonly { path: string; data: string }[]
}

export function layerKey({ ownerId, environment, reach, image, files }: LayerIngredients): string {
  const { id, setup, setupInputs, variables, network } = environment
  const sorted = <T>(entries: [string, T][]) => entries.toSorted(([a], [b]) => (a < b ? -1 : 1))
  const { level, domains, includeTrusted } = network
  // Only what the level reads.
  const lists = level === 'custom' ? [level, domains.toSorted(), includeTrusted] : [level]
  const described = rulesOf(network).map(describeRule).toSorted()
  const rules = described.length === 0 ? lists : [...lists, described]
  // Nearly always the image itself.
  const reaches = JSON.stringify(reach) === JSON.stringify(environment.image) ? [] : [reach]
  const contents = sorted(files.map(({ path, data }) => [path, data]))
  // A file that is asked for and not there makes a difference too, which `files` shows by its absence.
  const parts = [FORMAT, ownerId, id, environment.image, image, setup, setupInputs.toSorted()]
  return createHash('sha256')
    .update(
      JSON.stringify([...parts, sorted(Object.entries(variables)), rules, contents, ...reaches]),
    )
    .digest('hex')
}

/** Of a work tree: the commit says what is in it, and the name where it lies. */
export function checkoutKey(ownerId: string, { url, name, commit }: LayerCheckout): string {
  const parts = ['checkout', CHECKOUT_FORMAT, ownerId, url, name, commit]
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex')
}
