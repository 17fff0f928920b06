// What the gateway's reasons mean, in words that follow "blocked:" or stand alone.

const WORDS: Record<string, string> = {
  host_not_allowed: 'the network level does not allow it',
  level_none: 'this session reaches no host',
  port_not_allowed: 'not allowed on this port',
  method_not_allowed: 'a rule for this host does not allow the method',
  path_not_allowed: 'a rule or credential for this host does not allow the path',
  tls_not_ended: 'its TLS could not be ended here',
  address_not_allowed: 'it leads to a private or raw address',
  denied_by_installation: 'the owner of this installation refuses it',
  policy_changed: 'ended, as it is no longer allowed',
  too_many_connections: 'too many connections at once',
  rate_limited: 'too many connections in a short time',
  bytes_exhausted: 'all bytes of today are used up',
  sni_mismatch: 'the TLS greeting names another host',
  sni_missing: 'the TLS greeting names no host',
  client_closed: 'closed by the program inside',
  idle: 'ended, as nothing moved',
  dns_failed: 'there is no such name',
  upstream_unreachable: 'the host could not be reached',
  upstream_certificate: 'its certificate is not trusted on the machine of Errand',
  upstream_timeout: 'the host did not answer in time',
  upstream_broken: 'the host broke it off',
  gateway_ended: 'the gateway was restarted',
}

export function describeDenial(reason: string): string {
  return WORDS[reason] ?? reason.replaceAll('_', ' ')
}

/** What adding the host to a list would change. */
const BY_LIST = new Set(['host_not_allowed', 'level_none', 'port_not_allowed', 'policy_changed'])

export function canBeAllowed(reason: string): boolean {
  return BY_LIST.has(reason)
}
