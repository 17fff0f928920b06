import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { RUN_MARK } from './agent-environment.ts'
import { type EarlyAgent, isRunning, startEarly, stateFile } from './agent-start.ts'

const start = {
  args: ['-c', 'pwd; env; echo "$2"', 'sh', '--settings', '{"a":1,"env":{}}'],
  env: { ADDED: 'by the SDK' },
}
const boot = { sessionId: 's_1', variables: { COLOUR: 'red' } }

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'errand-start-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const placeOf = (agent = '/bin/sh') => ({
  agent,
  stateFolder: folder,
  inherited: { PATH: '/usr/bin:/bin', HOME: folder },
  transport: { IS_SANDBOX: '1' },
  certificates: '/ca.pem',
})

function started(early: EarlyAgent | undefined): EarlyAgent {
  if (!early) throw new Error('no agent was started')
  return early
}

describe('startEarly', () => {
  it('starts what was recorded, with the variables of the session, in an empty folder', async () => {
    const early = startEarly(boot, start, placeOf())
    const said = (await text(started(early).child.stdout)).split('\n')
    expect(said[0]).toBe(join(folder, 'parked'))
    expect(said).toContain('{"a":1,"env":{"IS_SANDBOX":"1"}}')
    for (const line of ['ADDED=by the SDK', 'COLOUR=red', 'IS_SANDBOX=1', 'SSL_CERT_FILE=/ca.pem'])
      expect(said).toContain(line)
    expect(started(early).command.env[RUN_MARK]).toMatch(/^s_1\/[0-9a-f-]{36}$/)
  })

  it('notes in a new home what the agent would note there', async () => {
    startEarly(boot, start, placeOf())
    const notes = await readFile(join(folder, '.claude.json'), 'utf8')
    expect(JSON.parse(notes)).toHaveProperty('migrationVersion')
  })

  it('starts nothing where a conversation was, a layer is made, or none may be needed', async () => {
    expect(startEarly({ ...boot, purpose: 'layer' }, start, placeOf())).toBeUndefined()
    expect(startEarly({ ...boot, agent: 'needed' }, start, placeOf())).toBeUndefined()
    await writeFile(stateFile(folder), '{}')
    expect(startEarly(boot, start, placeOf())).toBeUndefined()
  })

  it('survives an agent that cannot be started', async () => {
    const early = startEarly(boot, start, placeOf(join(folder, 'missing')))
    const { child } = started(early)
    expect(isRunning(child)).toBe(false)
    await once(child, 'error')
  })
})
