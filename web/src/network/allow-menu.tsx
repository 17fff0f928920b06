// Allowing a host that was blocked: for this session, or in its environment and so for later ones too.
import { domainPatternSchema } from '../../../src/protocol/environment.ts'
import { patternFor } from '../../../src/protocol/installation-network.ts'
import type { AllowScope } from '../../../src/protocol/session.ts'
import { Glyph } from '../ui/glyph.tsx'
import { Menu } from '../ui/menu.tsx'
import { plainText } from '../ui/plain-text.ts'

export interface AllowHost {
  scope: AllowScope
  /** A host, with its port where it is none of the web's. */
  host: string
}

export function AllowMenu({
  host: at,
  onAllow,
}: {
  host: { host: string; port: number }
  onAllow: (allowed: AllowHost) => void
}) {
  const host = patternFor(at)
  // A name of which a part was taken out, or an odd one, fits no list.
  if (!domainPatternSchema.safeParse(host).success) return null
  return (
    <Menu
      label={`Allow ${plainText(host)}`}
      className="hit gap-1 border border-control/60 bg-raised px-2.5 text-sm font-medium text-text"
      trigger={
        <>
          Allow <Glyph name="down" />
        </>
      }
      actions={[
        { label: 'For this session', onSelect: () => onAllow({ scope: 'session', host }) },
        {
          label: 'For this environment too',
          onSelect: () => onAllow({ scope: 'environment', host }),
        },
      ]}
    />
  )
}
