// Identifiers: a prefix that tells the kind and 20 characters of lower-case base32 (100 random bits).
import { z } from 'zod'

const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567'
const ID_LENGTH = 20

export const ID_PREFIXES = {
  session: 's_',
  turn: 't_',
  environment: 'e_',
  effect: 'x_',
  upload: 'u_',
  credential: 'c_',
  layer: 'l_',
} as const
export type IdKind = keyof typeof ID_PREFIXES

const idSchema = (kind: IdKind) => z.string().regex(idPattern(kind), `not a ${kind} id`)

export function idPattern(kind: IdKind): RegExp {
  return new RegExp(`^${ID_PREFIXES[kind]}[a-z2-7]{${ID_LENGTH}}$`)
}

export const sessionIdSchema = idSchema('session')
export const turnIdSchema = idSchema('turn')
export const environmentIdSchema = idSchema('environment')
export const uploadIdSchema = idSchema('upload')
export const credentialIdSchema = idSchema('credential')
export const layerIdSchema = idSchema('layer')

/** `random` holds at least 20 bytes from a cryptographic source. */
export function createId(kind: IdKind, random: Uint8Array): string {
  let id = ''
  for (const byte of random.subarray(0, ID_LENGTH)) id += ALPHABET[byte & 31]
  return ID_PREFIXES[kind] + id
}
