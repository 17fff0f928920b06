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

/** What a template is filled with; each is made of `a-z`, `0-9` and hyphens. */
export interface BranchParts {
  /** From the title of the session. */
  slug: string
  /** Random. */
  id: string
  /** From the name of who started it. */
  user: string
  /** Year, month and day, UTC. */
  date: string
}

const SAMPLE: BranchParts = { slug: 'fix-it', id: 'abcde', user: 'ann', date: '2030-01-31' }
/** With the longest parts a name stays well below what a file system holds. */
const LONGEST_TEMPLATE = 100

export function fillBranchTemplate(template: string, parts: BranchParts): string {
  return template.replace(/\{(slug|id|user|date)\}/g, (_, name: keyof BranchParts) => parts[name])
}

/** Fills to a valid name, whatever the parts are. */
export const branchTemplateSchema = z
  .string()
  .trim()
  .max(LONGEST_TEMPLATE)
  .refine((template) => {
    const name = fillBranchTemplate(template, SAMPLE)
    return !/[{}]/.test(name) && isBranchName(name)
  }, 'not a template of a branch: a name with {slug}, {id}, {user} and {date} in it')
