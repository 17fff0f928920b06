// Variables that a repository must not set for itself: other ways out, other accounts, trust in other certificates, and what
// tells programs that they run inside. The owner's environment may. Pure.

const PROTECTED =
  /^(?:(?:https?|all|no|ftp|grpc)_proxy|ERRAND_.*|IS_SANDBOX|ANTHROPIC_(?:(?:[A-Z]+_)?BASE_URL|API_KEY|AUTH_TOKEN|CUSTOM_HEADERS|UNIX_SOCKET)|CLAUDE_CODE_(?:USE_(?:BEDROCK|VERTEX|FOUNDRY|MANTLE|ANTHROPIC_AWS)|SKIP_[A-Z_]+_AUTH|CLIENT_(?:CERT|KEY|KEY_PASSPHRASE)|OAUTH_[A-Z_]+|REMOTE(?:_[A-Z_]+)?|API_KEY_HELPER_TTL_MS|CERT_STORE)|NODE_EXTRA_CA_CERTS|NODE_TLS_REJECT_UNAUTHORIZED|NODE_OPTIONS|SSL_CERT_FILE|SSL_CERT_DIR|LD_PRELOAD|LD_LIBRARY_PATH|GIT_SSL_NO_VERIFY)$/i

export function isProtectedVariable(name: string): boolean {
  return PROTECTED.test(name)
}
