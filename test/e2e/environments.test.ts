// Environments in a whole Errand: what a session keeps of its own, what a repository's file adds, and what has to be allowed
// first. Shell commands only, so that no model is needed.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createSampleRepository, gitEnvironment } from '../../demo/repository.ts'
import { runChecked } from '../../src/lib/process.ts'
import { runCommand } from './command.ts'
import { eventsOf, type Installation, startInstallation } from './installation.ts'

const FILE = `
variables:
  COLOUR: blue
  TASTE: sweet
network:
  domains: [api.shop.invalid]
secrets: [everything]
`

let errand: Installation
let folder: string
let repository: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'errand-environments-'))
  repository = join(folder, 'cart')
  await createSampleRepository(repository)
  await mkdir(join(repository, '.errand'))
  await writeFile(join(repository, '.errand/environment.yaml'), FILE)
  const git = (...args: string[]) =>
    runChecked('git', args, { cwd: repository, env: gitEnvironment() })
  await git('add', '--all')
  await git('commit', '--quiet', '--message', 'Say what is needed')
  errand = await startInstallation()
})
afterAll(async () => {
  await errand.stop()
  await rm(folder, { recursive: true, force: true })
})

async function say(sessionId: string, command: string): Promise<string> {
  const { lastSeq } = await errand.client.getSession(sessionId)
  await errand.client.sendMessage(sessionId, { text: command, kind: 'command' })
  const events = await errand.finish(sessionId, lastSeq)
  return eventsOf(events, 'command.output')
    .map(({ text }) => text)
    .join('')
}

it('keeps what a session started with, adds what the repository asks for, and lets it reach what is allowed', async () => {
  const { client } = errand
  const cli = async (...args: string[]) => {
    const env = { ERRAND_URL: errand.url, ERRAND_TOKEN: errand.token }
    const result = await runCommand(args, { env })
    expect(result, result.stderr).toMatchObject({ exitCode: 0 })
    return result.stdout
  }
  await writeFile(join(folder, 'vars.env'), 'COLOUR="red # deep"\n')
  await cli('env', 'create', 'shop', '--variables', join(folder, 'vars.env'))
  await cli('env', 'default', 'shop')
  const { id, environment } = await errand.start(repository, 'echo "$COLOUR, $TASTE"', {
    kind: 'command',
  })
  const events = await errand.finish(id)
  expect(environment.name).toBe('shop')
  expect(eventsOf(events, 'command.output').map(({ text }) => text)).toEqual([
    'red # deep, sweet\n',
  ])
  expect(eventsOf(events, 'environment.read')).toMatchObject([
    { notices: [expect.stringContaining('line 7: secrets: there is no such key')] },
  ])

  await cli('env', 'edit', 'shop', '--network', 'full')
  await cli('env', 'archive', 'shop')
  expect(await say(id, 'echo "$COLOUR"')).toBe('red # deep\n')
  expect((await client.getSession(id)).environment.network.level).toBe('trusted')

  const ask = 'curl -s -o /dev/null -D - http://api.shop.invalid/ | tr -d "\\r" | grep -i x-deny'
  expect(await say(id, ask)).toContain('host_not_allowed')
  expect(await cli('allow', id)).toContain('api.shop.invalid, the trusted hosts')
  expect(await say(id, ask)).not.toContain('host_not_allowed')
  expect(await say(id, 'echo "$COLOUR"')).toBe('red # deep\n')

  const later = await errand.start(repository, 'true', { kind: 'command' })
  await errand.finish(later.id)
  expect(later.environment).toMatchObject({ name: 'Default', network: { level: 'trusted' } })
})
