// Credentials that people lend Errand: for git hosts, and for APIs to whose hosts the gateway adds them. A secret comes in
// once, is kept sealed, and is in no answer.
import { z } from 'zod'
import { domainPatternSchema } from './environment.ts'
import { credentialIdSchema, environmentIdSchema } from './ids.ts'
import { NO_CONTROL } from './name.ts'
import { isProtectedVariable } from './protected-variables.ts'

/** Of a git host. */
const GIT_KINDS = ['https', 'ssh'] as const
/** Added to requests: `Authorization: Bearer …`, a header of its own, `Authorization: Basic …`, a parameter of the query. */
export const API_KINDS = ['bearer', 'header', 'basic', 'query'] as const
export const credentialKindSchema = z.enum([...GIT_KINDS, ...API_KINDS])
export type CredentialKind = z.infer<typeof credentialKindSchema>
export type GitCredentialKind = (typeof GIT_KINDS)[number]
export type ApiCredentialKind = (typeof API_KINDS)[number]

export function isApiKind(kind: CredentialKind): kind is ApiCredentialKind {
  return (API_KINDS as readonly string[]).includes(kind)
}

/** Decide where a request goes or where it ends; a cookie carries more than one thing. */
const HEADERS_OF_TRANSPORT =
  /^(?:host|connection|content-length|transfer-encoding|upgrade|te|trailer|expect|keep-alive|cookie|proxy-.*|sec-.*)$/i
const headerNameSchema = z
  .string()
  .regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$/, 'not a name of a header')
  .refine((name) => !HEADERS_OF_TRANSPORT.test(name), 'this header is not for credentials')

/** A path begins with it as a whole: `/v1/` holds for `/v1/x` and not for `/v10`. */
const pathPrefixSchema = z
  .string()
  .max(500)
  .regex(/^\/(?:[A-Za-z0-9._~!$&'()*+,;=:@-]+\/?)*$/, 'not a path such as /v1/')
  .refine((path) => !/(?:^|\/)\.\.?(?:\/|;|$)/.test(path), 'a path without . and ..')

/** Where the gateway adds an API credential, and how. */
export const bindingSchema = z.object({
  /** For people; the host when it is empty. */
  name: z.string().trim().max(80).default(''),
  /** Further hosts that the same secret is for, a registry's file host for instance. */
  otherHosts: z.array(domainPatternSchema).max(20).default([]),
  /** Only requests below one of these; everything when empty. */
  paths: z.array(pathPrefixSchema).max(20).default([]),
  /** Of kind `header`: which one. */
  header: headerNameSchema.nullable().default(null),
  /** Of kind `header`: stands before the secret, with a space when it does not end in one. */
  prefix: z
    .string()
    .max(64)
    .regex(/^[\x20-\x7e]*$/, 'printable ASCII only')
    .default(''),
  /** Of kind `query`: which parameter. */
  parameter: z
    .string()
    .regex(/^[A-Za-z0-9._~[\]-]{1,100}$/, 'not a name of a parameter')
    .nullable()
    .default(null),
  /** The one environment whose sessions have it; null: all sessions of its owner. */
  environmentId: environmentIdSchema.nullable().default(null),
  /** Set inside to a placeholder that is worthless; where a request carries that, the gateway puts the secret. */
  variable: z
    .string()
    .regex(/^[A-Za-z_][A-Za-z0-9_]{0,254}$/, 'not a name of a variable')
    .refine((name) => !isProtectedVariable(name), 'this variable is not for credentials')
    .nullable()
    .default(null),
  /** Also to http:// addresses, where everybody on the way can read it. */
  allowHttp: z.boolean().default(false),
})
export type Binding = z.infer<typeof bindingSchema>

/** What fits into a header; a line end in it would begin another one. */
const API_SECRET = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/

export const newCredentialSchema = z
  .object({
    host: z.string().min(1).max(260),
    kind: credentialKindSchema.default('https'),
    username: z.string().max(255).default(''),
    secret: z.string().min(1).max(65_536),
    /** Of API credentials only. */
    binding: bindingSchema.optional(),
  })
  .superRefine(({ kind, host, username, secret, binding }, context) => {
    const refuse = (path: string[], message: string) =>
      context.addIssue({ code: 'custom', path, message })
    if (!NO_CONTROL.test(username)) refuse(['username'], 'no control characters')
    if (binding && !NO_CONTROL.test(binding.name))
      refuse(['binding', 'name'], 'no control characters')
    if (!isApiKind(kind)) {
      if (binding) refuse(['binding'], `a credential of kind ${kind} is for git and has no binding`)
      return
    }
    if (!domainPatternSchema.safeParse(host).success)
      refuse(['host'], 'not a host name, nor *. and a domain of two labels or more')
    if (!API_SECRET.test(secret) || secret.length > 8192)
      refuse(['secret'], 'printable ASCII without line ends, at most 8192 characters')
    if (kind === 'basic' && username.includes(':')) refuse(['username'], 'a name without a colon')
    if (kind === 'header' && !binding?.header) refuse(['binding', 'header'], 'the name is missing')
    if (kind === 'query' && !binding?.parameter)
      refuse(['binding', 'parameter'], 'the name is missing')
  })
export type NewCredential = z.input<typeof newCredentialSchema>

export const credentialSchema = z.object({
  id: credentialIdSchema,
  host: z.string(),
  kind: credentialKindSchema,
  username: z.string(),
  createdAt: z.string(),
  lastUsedAt: z.string().nullable().default(null),
  binding: bindingSchema.nullable().default(null),
})
export type Credential = z.infer<typeof credentialSchema>
export const credentialListSchema = z.object({ credentials: z.array(credentialSchema) })

/** How a credential is added, in words that name no secret. */
export function describeCredential({ kind, username, binding }: Credential): string {
  if (kind === 'header') return `header ${binding?.header ?? ''}`
  if (kind === 'query') return `parameter ${binding?.parameter ?? ''}`
  return username === '' ? kind : `${kind} as ${username}`
}
