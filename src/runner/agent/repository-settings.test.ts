import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { runChecked } from '../../lib/process.ts'
import { writeAdditionalPlugins } from './additional-plugins.ts'
import { readAdditionalSettings } from './additional-settings.ts'
import { readRepositorySettings } from './repository-settings.ts'

it('waits for nothing that is no plain file', async () => {
  const top = await mkdtemp(join(tmpdir(), 'errand-settings-'))
  onTestFinished(() => rm(top, { recursive: true, force: true }))
  const folder = join(top, 'shop')
  const local = join(folder, '.claude/settings.local.json')
  await mkdir(join(folder, '.claude'), { recursive: true })
  // Nobody ever writes to these.
  const pipes = ['.claude/settings.json', '.mcp.json'].map((name) => join(folder, name))
  await runChecked('mkfifo', pipes)
  await writeFile(local, JSON.stringify({ permissions: { deny: ['Bash'] }, model: 'other' }))
  expect(await readRepositorySettings(folder, {})).toMatchObject({ deny: ['Bash'], notices: [] })
  const additional = [{ name: 'shop', folder }]
  const { notices } = await readAdditionalSettings(additional)
  expect(notices).toEqual([expect.stringContaining('settings.local.json: permissions, model.')])
  const made = await writeAdditionalPlugins(additional, join(top, 'plugins'))
  expect(made).toEqual({ plugins: [], notices: [] })
})
