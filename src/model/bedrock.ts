// Amazon Bedrock as model endpoint: requests are signed here (Signature Version 4), so that no AWS key is inside a sandbox.
// Only keys that are handed in: no profile, single sign-on or instance role is looked up, since those are the host's.
import { AwsV4Signer } from 'aws4fetch'
import type { Refusal } from './anthropic-error.ts'
import type { UnsignedRequest, Upstream } from './upstream.ts'

export interface BedrockSettings {
  region: string | undefined
  /** The public endpoint of the region unless given. */
  baseUrl: string | undefined
  keyId: string | undefined
  secretKey: string | undefined
  /** Of temporary keys: they end some time, and Bedrock says so then. */
  sessionToken: string | undefined
  /** An API key of Bedrock: nothing is signed then. */
  bearer: string | undefined
}

const DEFAULT_REGION = 'us-east-1'

export function createBedrockUpstream(settings: BedrockSettings): Upstream | Refusal {
  const { keyId, secretKey, sessionToken, bearer, region = DEFAULT_REGION } = settings
  const { baseUrl = `https://bedrock-runtime.${region}.amazonaws.com` } = settings
  const form = { kind: 'bedrock' as const, region }
  if (bearer !== undefined) {
    const headers = { authorization: `Bearer ${bearer}` }
    return { form, baseUrl, authorize: async () => headers, secrets: () => [bearer] }
  }
  if (keyId === undefined || secretKey === undefined) return NO_KEYS
  const keys = { accessKeyId: keyId, secretAccessKey: secretKey, sessionToken }
  return {
    form,
    baseUrl,
    authorize: (request) => sign(request, { ...keys, region }),
    secrets: () => [secretKey, ...(sessionToken === undefined ? [] : [sessionToken])],
  }
}

async function sign(
  { url, body }: UnsignedRequest,
  keys: { accessKeyId: string; secretAccessKey: string; sessionToken?: string; region: string },
): Promise<Record<string, string>> {
  const signer = new AwsV4Signer({
    ...{ method: 'POST', url, body: new Uint8Array(body), service: 'bedrock', ...keys },
  })
  const { headers: signed } = await signer.sign()
  return Object.fromEntries([...signed].filter(([name]) => name !== 'host'))
}

const NO_KEYS: Refusal = {
  status: 400,
  reason: 'model_key_missing',
  message:
    'Bedrock is chosen (CLAUDE_CODE_USE_BEDROCK) and no key for it is set: start Errand with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or with AWS_BEARER_TOKEN_BEDROCK. Profiles and roles of the host are not looked up',
}
