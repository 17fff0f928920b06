// An installation on Bedrock with caps: sandboxes are told to speak its form, nothing that signs is inside, and a session
// that asks for another model or has used up its tokens is told so. Real Claude Code; the model behind Bedrock is scripted.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { AWS_KEYS, type Cloud, startBedrock } from '../../demo/clouds.fixture.ts'
import { createSampleRepository } from '../../demo/repository.ts'
import { type Installation, OWNER_KEY, startInstallation } from './installation.ts'
import { runInside } from './transcript.ts'

let errand: Installation
let bedrock: Cloud
let folder: string
let repository: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'errand-model-'))
  repository = join(folder, 'cart')
  await createSampleRepository(repository)
  bedrock = await startBedrock({ key: OWNER_KEY, url: () => errand.model.url })
  errand = await startInstallation({
    env: {
      CLAUDE_CODE_USE_BEDROCK: '1',
      ANTHROPIC_BEDROCK_BASE_URL: bedrock.url,
      AWS_REGION: AWS_KEYS.region,
      AWS_ACCESS_KEY_ID: AWS_KEYS.keyId,
      AWS_SECRET_ACCESS_KEY: AWS_KEYS.secretKey,
      ERRAND_MODELS: '*anthropic.claude-*',
      ERRAND_SESSION_TOKENS: '1000',
    },
  })
})
afterAll(async () => {
  await errand?.stop()
  await bedrock?.close()
  await rm(folder, { recursive: true, force: true })
})

it('works in its form until the tokens are used up, with no key inside', async () => {
  const { id } = await errand.start(repository, 'Make the failing test pass.')
  const events = await errand.finish(id)
  const used = events.map(({ body }) => body).filter(({ type }) => type === 'model.used')
  expect(used.length).toBeGreaterThan(0)
  const failed = events.map(({ body }) => body).filter(({ type }) => type === 'turn.failed')
  expect(failed).toMatchObject([{ reason: 'token_limit_reached' }])
  expect(bedrock.seen.filter(({ refused }) => refused)).toEqual([])
  expect(bedrock.seen.length).toBeGreaterThan(0)
  const inside = await runInside(
    errand,
    id,
    'env; cat /opt/errand/session.json; cat /proc/*/environ',
  )
  expect(inside).toContain('CLAUDE_CODE_USE_BEDROCK=1')
  expect(inside).not.toContain(AWS_KEYS.secretKey)
  expect(inside).not.toContain(AWS_KEYS.keyId)
})

it('refuses a model that is not on the list', async () => {
  const { id } = await errand.start(repository, 'Say hello.', { model: 'eu.amazon.nova-pro-v1:0' })
  const events = await errand.finish(id)
  expect(events.at(-1)?.body).toMatchObject({ type: 'turn.failed', reason: 'model_not_allowed' })
})
