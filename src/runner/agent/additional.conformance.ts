// A session with additional repositories, inside: their checkouts, what of their `.claude/` counts, what is pushed of them and
// what comes back after a loss. The real Claude Code and git; only the model is scripted.
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { gitEnvironment } from '../../../demo/repository.ts'
import type { Scenario } from '../../../demo/scenario.ts'
import { runChecked } from '../../lib/process.ts'
import { SAVED_WORK_REF } from '../../protocol/saved-refs.ts'
import type { Question } from '../../protocol/session.ts'
import { asksWith, BRANCH, createPlace, type Place } from '../place.fixture.ts'
import { MCP_SERVER } from './mcp-server.fixture.ts'

const shell = (prompt: string, command: string): Scenario => ({
  ...{ name: prompt, about: 'Runs one command.' },
  turns: [
    {
      prompt,
      steps: [
        { say: 'I do it.', use: [{ tool: 'Bash', input: { command, description: 'Work' } }] },
        { say: 'It said: {{lastToolResult}}' },
      ],
    },
  ],
})

const HOOK = `#!/bin/sh
echo "export COLOUR=green" >> "$CLAUDE_ENV_FILE"
echo "lib hook in $CLAUDE_PROJECT_DIR and $(pwd)"
`
const settings = (value: unknown) => ({ '.claude/settings.json': JSON.stringify(value) })
const sessionStart = (command: string) => ({
  SessionStart: [{ matcher: 'startup', hooks: [{ type: 'command', command }] }],
})

let place: Place
let lib: string
let docs: string
beforeEach(async () => {
  place = await createPlace([
    shell('look around', 'echo colour=$COLOUR; git -C ../lib branch --show-current'),
    asksWith('ask the server', 'mcp__plugin_tools-2-0_local__ping', {}),
    asksWith('write it', 'Bash', { command: 'touch made.txt', description: 'Write' }),
    shell('edit both', 'echo 1 > mine.txt; echo 2 > ../lib/theirs.txt; echo 3 > ../docs/read.txt'),
  ])
  lib = await place.attach('lib', 'write', {
    ...settings({
      hooks: {
        ...sessionStart('"$CLAUDE_PROJECT_DIR"/.claude/up.sh'),
        PreToolUse: [{ hooks: [{ type: 'command', command: 'exit 2' }] }],
      },
      permissions: { deny: ['Bash'] },
      env: { COLOUR: 'red' },
    }),
    '.claude/up.sh': HOOK,
    '.claude/skills/deploy/SKILL.md': '---\nname: deploy\ndescription: Ships the ibis\n---\nDo it.',
    '.claude/rules/style.md': 'Rules say heron.',
    'CLAUDE.md': 'Lib remembers the walrus.',
    '.mcp.json': 'no JSON',
  })
  docs = await place.attach('docs', 'read', { 'CLAUDE.md': 'Docs remember the pelican.' })
})
afterEach(() => place.close())

const asked = () => JSON.stringify(place.model.requests)
const outputs = () =>
  place.gateway
    .ofType('tool.returned')
    .map(({ output }) => output)
    .join()
const notices = (kind: string) =>
  place.gateway.ofType('agent.notice').flatMap((one) => (one.kind === kind ? [one.text] : []))
const log = async (name: string, ...refs: string[]) => {
  const folder = join(place.upstream, '..', `${name}.git`)
  const args = ['-C', folder, 'log', '--format=%s', '--name-only', ...refs]
  return (await runChecked('git', args, { env: gitEnvironment() })).trim().split(/\n+/)
}

const savedFiles = (name: string) => {
  const args = [
    '-C',
    join(place.upstream, '..', `${name}.git`),
    'ls-tree',
    '--name-only',
    SAVED_WORK_REF,
  ]
  return runChecked('git', args, { env: gitEnvironment() })
}

it('gives the agent memory, rules, skills and SessionStart hooks of all, and says what it leaves out', async () => {
  await place.start()
  await place.endOf(place.ask('look around'))
  expect(outputs()).toContain(`colour=green\n${BRANCH}`)
  for (const words of ['walrus', 'pelican', 'heron', 'ibis', `lib hook in ${lib} and ${lib}`, docs])
    expect(asked()).toContain(words)
  expect(notices('settings_ignored')).toEqual([
    expect.stringMatching(/lib\/\.claude\/settings\.json: permissions, env, hooks\.PreToolUse\. /),
    expect.stringContaining('lib/.mcp.json names no servers'),
  ])
})

it('is served by an agent that was started ahead where no hook has to be given at its start', async () => {
  place.setup.additional = place.setup.additional?.filter(({ name }) => name === 'docs')
  await place.startAhead()
  const before = await place.agents()
  await place.start()
  await place.endOf(place.ask('edit both'))
  expect(await place.agents()).toEqual(before)
  expect(asked()).toContain('pelican')
})

it('commits and pushes each to its own, and nothing of one that is read', async () => {
  await place.start()
  await place.endOf(place.ask('edit both'))
  expect(await log('upstream', BRANCH, '-1')).toEqual(['edit both', 'mine.txt'])
  expect(await log('lib', BRANCH, '-1')).toEqual(['edit both', 'theirs.txt'])
  await expect(log('docs', BRANCH)).rejects.toThrow()
  expect(await readFile(join(docs, 'read.txt'), 'utf8')).toBe('3\n')
  await place.endOf(place.ask('look around'))
  expect(await log('lib', BRANCH, '--')).toHaveLength(2 + 7)
})

it('brings back what was not pushed of each that is written to, and starts the others anew', async () => {
  await place.start()
  await place.endOf(place.ask('edit both', 'command'))
  await place.endOf(
    place.ask('echo 1 > open.txt; echo 2 > ../lib/open.txt; echo 3 > ../docs/open.txt', 'command'),
  )
  for (const name of ['upstream', 'lib'])
    await vi.waitFor(async () => expect(await savedFiles(name)).toContain('open.txt'), 30_000)
  await place.stop()
  await place.loseDisk()
  place.gateway.setGeneration(2)
  await place.start()
  await place.gateway.wait('runner.ready', ({ generation }) => generation === 2)
  for (const folder of [place.checkout, lib])
    expect(existsSync(join(folder, 'open.txt'))).toBe(true)
  expect(existsSync(join(docs, 'open.txt'))).toBe(false)
  expect(existsSync(join(docs, 'CLAUDE.md'))).toBe(true)
  expect(notices('sandbox_replaced')).toEqual([
    expect.stringMatching(
      /It goes on from what was saved at .*\nlib: files as they were saved at /,
    ),
  ])
})

const front = (fields: Record<string, string>) =>
  `---\n${Object.entries(fields)
    .map(([key, value]) => `${key}: ${value}\n`)
    .join('')}---\n`

describe('agents, commands and MCP servers of an additional repository', () => {
  let tools: string
  beforeEach(async () => {
    tools = await place.attach('Tools_2.0', 'read', {
      '.claude/agents/critic.md': `${front({ name: 'critic', description: 'Judges the stork' })}You judge.`,
      '.claude/commands/greet.md': 'Say that $ARGUMENTS is a pelican.',
      '.claude/commands/make/one.md': `${front({ 'allowed-tools': 'Bash' })}write it`,
      '.mcp.json': JSON.stringify({
        mcpServers: { local: { command: process.execPath, args: ['server.mjs'] } },
      }),
      'server.mjs': MCP_SERVER,
      'hooks/hooks.json': JSON.stringify({ hooks: sessionStart('echo hook of a plugin') }),
    })
  })

  it('are known by the name of their repository, and a server runs in its folder', async () => {
    await place.start()
    await place.endOf(place.ask('/tools-2-0:greet Ada'))
    await place.endOf(place.ask('ask the server'))
    for (const words of ['Ada is a pelican', 'tools-2-0:critic', 'Judges the stork'])
      expect(asked()).toContain(words)
    expect(outputs()).toContain(`pong from the repository in ${tools}`)
    expect(asked()).not.toContain('hook of a plugin')
    expect(notices('settings_ignored').join()).not.toContain('Tools')
  })

  it('do not answer for the user in mode ask', async () => {
    place.gateway.direct({ mode: 'ask' })
    await place.start()
    for (const prompt of ['/tools-2-0:make:one', 'ask the server']) {
      const turn = place.ask(prompt)
      const isOfTurn = (one: { question: Question }) => one.question.turnId === turn
      const asks = place.gateway.wait('question.asked', isOfTurn)
      const first = await Promise.race([asks, place.endOf(turn)])
      expect(first).toMatchObject({ type: 'question.asked', question: { kind: 'permission' } })
      place.interrupt(turn)
      await place.endOf(turn)
    }
    expect(existsSync(join(place.checkout, 'made.txt'))).toBe(false)
    expect(outputs()).not.toContain('pong')
  })
})
