// The names and payloads of NOTIFY. Ids and numbers only: a payload holds at most 8 kB and is visible to every listener.

export const SESSION_CHANNEL = 'errand_session'
export const EFFECTS_CHANNEL = 'errand_effects'
export const LOAD_CHANNEL = 'errand_load'
/** The payload is the id of the sandbox that becomes a layer. */
export const LAYERS_CHANNEL = 'errand_layers'
/** The payload is the id of the owner whose credentials changed. */
export const CREDENTIALS_CHANNEL = 'errand_credentials'
/** What the owner has set for the installation has changed. */
export const INSTALLATION_CHANNEL = 'errand_installation'
/** The payload is the id of the session whose network log has more. */
export const NETWORK_CHANNEL = 'errand_network'

export function sessionPayload(sessionId: string, seq: number): string {
  return `${sessionId}:${seq}`
}

export function parseSessionPayload(
  payload: string,
): { sessionId: string; seq: number } | undefined {
  const match = /^(s_[a-z2-7]{20}):(\d{1,15})$/.exec(payload)
  return match?.[1] ? { sessionId: match[1], seq: Number(match[2]) } : undefined
}
