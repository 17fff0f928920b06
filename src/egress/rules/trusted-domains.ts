// The hosts of the level `trusted` that are no package registries, grouped with a reason each. Registries are not listed:
// they are learnt from the package managers of the image (registries.ts). Broad entries (object stores, code hosts) are
// places that an agent can also write to: `trusted` narrows where data can go, it does not stop it from going.
import groups from './trusted-domains.json' with { type: 'json' }

interface TrustedGroup {
  group: string
  reason: string
  domains: readonly string[]
}

export const TRUSTED_GROUPS: readonly TrustedGroup[] = groups

export const TRUSTED_DOMAINS: readonly string[] = TRUSTED_GROUPS.flatMap(({ domains }) => domains)
