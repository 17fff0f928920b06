import { describe, expect, it } from 'vitest'
import type { Client } from '../../client/client.ts'
import { environmentSchema } from '../../protocol/environment.ts'
import { createTestCli, type TestCliOptions } from '../cli.fixture.ts'

const ID = `e_${'a'.repeat(20)}`
const OTHER = `e_${'b'.repeat(20)}`
const saved = [
  environmentSchema.parse({ id: ID, name: 'Default' }),
  environmentSchema.parse({
    ...{ id: OTHER, name: 'tools', setup: 'apt-get install -y jq', setupInputs: ['go.sum'] },
    network: { level: 'custom', domains: ['a.example'], includeTrusted: true },
    variables: { A: '1 # 2' },
  }),
]
const UNLISTED = `e_${'u'.repeat(20)}`

function createCli(options: TestCliOptions = {}) {
  const sent: unknown[][] = []
  const note =
    (name: string, answer: unknown) =>
    async (...args: unknown[]) => {
      sent.push([name, ...args])
      return answer as never
    }
  const hints = [{ name: 'GH_TOKEN', why: 'name', host: 'github.com' }]
  const defaults = {
    environment: ID,
    repositories: [{ repository: 'https://f/r', environment: OTHER }],
  }
  const client: Partial<Client> = {
    listEnvironments: async () => saved,
    createEnvironment: note('create', { ...saved[0], hints }),
    patchEnvironment: note('patch', { ...saved[1], hints: [] }),
    duplicateEnvironment: note('duplicate', { ...saved[1], hints: [] }),
    archiveEnvironment: note('archive', saved[1]),
    rebuildEnvironment: note('rebuild', { layers: 2 }),
    getEnvironmentDefaults: async () => defaults,
    setEnvironmentDefault: note('default', defaults),
  }
  return { ...createTestCli({ client, ...options }), sent }
}

describe('errand env', () => {
  it('lists and shows, and says which is the default', async () => {
    const cli = createCli()
    await cli.run('env', 'list')
    expect(cli.stdout.text()).toMatch(/Default +host +trusted +default/)
    await cli.run('env', 'show', 'tools')
    for (const text of [
      'custom: a.example, the trusted hosts',
      "A='1 # 2'",
      '4 GiB',
      'go.sum',
      'jq',
    ])
      expect(cli.stdout.text()).toContain(text)
  })

  it('makes one from options and says what looks like a secret, never its value', async () => {
    const cli = createCli({ stdin: 'GH_TOKEN=hunter2' })
    const args = ['--network', 'none', '--variables', '-', '--memory', '512MiB', '--cpus', '0.5']
    expect(await cli.run('env', 'create', 'x', ...args)).toBe(0)
    expect(cli.sent).toEqual([
      [
        'create',
        {
          ...{ name: 'x', variablesText: 'GH_TOKEN=hunter2' },
          network: { level: 'none', domains: [], includeTrusted: false },
          limits: { memoryBytes: 512 * 1024 ** 2, cpus: 0.5 },
        },
      ],
    ])
    expect(cli.stderr.text()).toContain('errand credential add github.com')
    expect(cli.stderr.text()).not.toContain('hunter2')
  })

  it('changes only what is given', async () => {
    const cli = createCli()
    await cli.run('env', 'edit', 'tools', '--name', 'new', '--include-trusted', '--disk', '10G')
    const limits = { ...saved[1]?.limits, diskBytes: 10 * 1024 ** 3 }
    const network = { level: 'custom', domains: ['a.example'], includeTrusted: true }
    expect(cli.sent).toEqual([['patch', OTHER, { name: 'new', network, limits }]])
  })

  it('copies, archives, rebuilds and chooses the default', async () => {
    const cli = createCli()
    await cli.run('env', 'duplicate', 'tools', 'more')
    await cli.run('env', 'archive', 'tools')
    // In no list, as where this version cannot read it.
    await cli.run('env', 'archive', UNLISTED)
    await cli.run('env', 'rebuild', 'tools')
    await cli.run('env', 'default', 'tools', '--repository', 'https://f/r')
    await cli.run('env', 'default', '--forget')
    expect(cli.sent).toEqual([
      ['duplicate', OTHER, 'more'],
      ['archive', OTHER],
      ['archive', UNLISTED],
      ['rebuild', OTHER],
      ['default', { repository: 'https://f/r', environment: OTHER }],
      ['default', { repository: null, environment: null }],
    ])
    expect(cli.stdout.text()).toMatch(/runs the setup script again/)
    expect(cli.stdout.text()).toMatch(/https:\/\/f\/r +tools\nall others +Default/)
  })

  it.each([
    [['env', 'show', 'nowhere'], 'environment_not_found'],
    [['env', 'create', 'x', '--image', 'Ubuntu 24'], 'image_unknown'],
    [['env', 'create', 'x', '--network', 'some'], 'level_unknown'],
    [['env', 'create', 'x', '--network', 'full', '--allow', 'a.example'], 'level_not_custom'],
    [['env', 'create', 'x', '--memory', 'much'], 'size_invalid'],
    [['env', 'create', 'x', '--variables', '/nonexistent'], 'file_not_readable'],
  ])('%j fails with %s', async (args, reason) => {
    const cli = createCli()
    expect(await cli.run(...args)).not.toBe(0)
    expect(cli.stderr.text()).toContain(reason)
    expect(cli.sent).toEqual([])
  })
})
