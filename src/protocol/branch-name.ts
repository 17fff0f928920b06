// Which names a branch may have, as git judges them. Pure: `git check-ref-format` itself is asked in git/names.conformance.ts.
import { z } from 'zod'

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what git refuses
const REF_FORBIDDEN = /[\u0000-\u0020\u007f~^:?*[\\]|\.\.|@\{|\/\/|\/$|\.$|^\/|^-|^@$/

/** The rules of `git check-ref-format --branch`, and no name that the file system cannot hold. */
export function isBranchName(name: string): boolean {
  if (name.length === 0 || !name.isWellFormed()) return false
  if (new TextEncoder().encode(name).length > 240) return false
  if (REF_FORBIDDEN.test(name) || name === 'HEAD') return false
  return name.split('/').every((part) => !part.startsWith('.') && !part.endsWith('.lock'))
}

/** Without `refs/heads/`. */
export const branchNameSchema = z.string().refine(isBranchName, 'not a name of a branch')
