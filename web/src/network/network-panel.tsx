// What a session may reach, what it asked for, and what was refused: live, as the gateway has seen it.
import { useMemo } from 'react'
import { describeNetwork } from '../../../src/protocol/environment.ts'
import { namesHost, policyNames } from '../../../src/protocol/installation-network.ts'
import {
  type HostTotal,
  type SessionNetwork,
  totalByHost,
} from '../../../src/protocol/network-log.ts'
import type { SessionState } from '../../../src/protocol/session.ts'
import { describeError } from '../app/api.ts'
import type { SessionRequests } from '../sessions/use-session-requests.ts'
import { Failure } from '../ui/failure.tsx'
import { formatBytes } from '../ui/format.ts'
import { Glyph } from '../ui/glyph.tsx'
import { plainText } from '../ui/plain-text.ts'
import { HostList } from './host-list.tsx'
import { PolicyForm } from './policy-form.tsx'
import { useNetwork, useNetworkEntries } from './use-network.ts'

export function NetworkPanel({
  session,
  requests,
}: {
  session: SessionState
  requests: SessionRequests
}) {
  const { network } = session.environment
  const about = useNetwork(session.id, JSON.stringify(network))
  const entries = useNetworkEntries(session.id)
  const totals = useMemo(() => totalByHost(entries.values()), [entries])
  const blocked = totals.filter(({ allowed }) => !allowed)
  const reached = totals.filter(({ allowed }) => allowed)
  const deny = about.data?.installation.deny ?? []
  const isAllowedNow = (at: HostTotal) => policyNames(network, at) && !namesHost(deny, at)
  const { allow } = requests
  return (
    <div className="flex min-h-0 flex-1 flex-col gap-6 overflow-y-auto px-4 pt-4 pb-8">
      <section aria-labelledby="may-reach" className="flex flex-col gap-2">
        <h2 id="may-reach" className="font-semibold">
          May reach {plainText(describeNetwork(network))}
        </h2>
        <p className="text-sm text-muted">
          Its repository and the model work at every level, also at none: they are doors of Errand
          and not hosts.
        </p>
        <Installation about={about.data} />
        <PolicyForm session={session} change={requests.change} />
      </section>
      {allow.error ? (
        <Failure what="It was not allowed" why={describeError(allow.error).message} />
      ) : null}
      <HostList
        title="Blocked"
        empty="Nothing was blocked."
        totals={blocked}
        isAllowedNow={isAllowedNow}
        onAllow={allow.mutate}
      />
      <HostList
        title="Reached"
        empty="It has reached no host yet."
        totals={reached}
        isAllowedNow={() => true}
        onAllow={allow.mutate}
      />
      <Registries about={about.data} />
    </div>
  )
}

function Installation({ about }: { about: SessionNetwork | undefined }) {
  if (!about) return null
  const { usage, limits, installation } = about
  const { allow, deny } = installation
  return (
    <>
      <p className="text-sm text-muted">
        {formatBytes(usage.bytesUp + usage.bytesDown)} today (UTC) of{' '}
        {formatBytes(limits.bytesPerDay)}, at most {limits.connectionsPerSecond} new connections a
        second.
      </p>
      {deny.length > 0 ? (
        <p className="text-sm text-muted [overflow-wrap:anywhere]">
          Refused in every session: {plainText(deny.join(', '))}
        </p>
      ) : null}
      {allow.length > 0 ? (
        <p className="text-sm text-muted [overflow-wrap:anywhere]">
          Allowed in every session but at none: {plainText(allow.join(', '))}
        </p>
      ) : null}
    </>
  )
}

/** Where `trusted` counts they are allowed. */
function Registries({ about }: { about: SessionNetwork | undefined }) {
  if (!about || about.registries.length === 0) return null
  const { level, includeTrusted } = about.network
  const isCounted = level === 'trusted' || (level === 'custom' && includeTrusted)
  return (
    <details className="group/registries">
      <summary className="hit flex cursor-pointer items-center gap-1 text-sm font-semibold">
        <Glyph name="chevron" className="group-open/registries:rotate-90" />
        <span>
          Package registries of its image ({about.registries.length}
          {isCounted ? '' : ', not allowed at this level'})
        </span>
      </summary>
      <ul className="mt-1 flex flex-col divide-y divide-line border-y border-line text-sm">
        {about.registries.map(({ tool, host, port, from }) => (
          <li key={`${tool} ${host}:${port}`} className="py-1.5 [overflow-wrap:anywhere]">
            <span className="code-text">
              {plainText(host)}
              {port === 443 ? '' : `:${port}`}
            </span>{' '}
            <span className="text-muted">
              {plainText(tool)}, named by {plainText(from)}
            </span>
          </li>
        ))}
      </ul>
    </details>
  )
}
