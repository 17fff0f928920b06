// The way to where a credential is set, for failures that one may mend.
import { Link } from '@tanstack/react-router'
import { CREDENTIAL_WANTED } from '../../../src/protocol/session.ts'

/** A credential may be what is missing: hosts also say of a private repository that there is none. */
const MENDED_BY_ONE = new Set([
  ...CREDENTIAL_WANTED,
  'repository_access_denied',
  'repository_not_found',
  'lfs_credential_missing',
  'lfs_refused',
])

export function CredentialLink({ reason }: { reason: string | null }) {
  if (reason === null || !MENDED_BY_ONE.has(reason)) return null
  return (
    <Link
      to="/environments"
      hash="credentials"
      className="hit inline-flex items-center rounded-control border border-control/60 bg-raised px-3 text-sm font-medium hover:bg-surface"
    >
      Add a credential
    </Link>
  )
}
