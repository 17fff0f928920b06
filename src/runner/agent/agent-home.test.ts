import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { runChecked } from '../../lib/process.ts'
import { MIGRATED, prepareHome } from './agent-home.ts'

const NOW = new Date('2026-01-02T03:04:05Z')
let home: string
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'errand-home-'))
})
afterEach(() => rmSync(home, { recursive: true, force: true }))

const at = (name = '.claude.json') => join(home, name)
const read = () => JSON.parse(readFileSync(at(), 'utf8'))
const NOTED = { firstStartTime: NOW.toISOString(), migrationVersion: MIGRATED }

describe('prepareHome', () => {
  it('notes in a new home what a first start notes', () => {
    prepareHome({ HOME: home }, NOW)
    const { machineID, userID, ...noted } = read()
    expect(noted).toEqual(NOTED)
    for (const id of [machineID, userID]) expect(id).toMatch(/^[0-9a-f]{64}$/)
    expect(machineID).not.toBe(userID)
    expect(readdirSync(home)).toEqual(['.claude.json'])
  })

  it('leaves alone what is there', () => {
    writeFileSync(at(), '{"mcpServers":{}}')
    prepareHome({ HOME: home }, NOW)
    expect(readFileSync(at(), 'utf8')).toBe('{"mcpServers":{}}')
  })

  it.each(['', '{"firstStart'])('replaces %j, which a kill or a full disk left of it', (left) => {
    writeFileSync(at(), left)
    prepareHome({ HOME: home }, NOW)
    expect(read()).toMatchObject(NOTED)
    expect(readFileSync(at('.claude.json.unreadable'), 'utf8')).toBe(left)
  })

  it('replaces what is no file, such as a pipe that would never end', async () => {
    await runChecked('mkfifo', [at()])
    prepareHome({ HOME: home }, NOW)
    expect(read()).toMatchObject(NOTED)
  })

  it('replaces it by the newest that Claude Code has kept and that can be read', () => {
    writeFileSync(at(), '')
    mkdirSync(at('.claude/backups'), { recursive: true })
    const keep = (name: string, text: string) => writeFileSync(at(`.claude/backups/${name}`), text)
    keep('.claude.json.backup.1795819729876', '{"from":"before"}')
    keep('.claude.json.backup.1795819729999', '{"from":"later"}')
    keep('.claude.json.backup.1795819730000', '{"fro')
    prepareHome({ HOME: home }, NOW)
    expect(read()).toEqual({ from: 'later' })
  })

  it('says nothing where there is no such folder', () => {
    expect(() => prepareHome({ HOME: at('nowhere') }, NOW)).not.toThrow()
    expect(() => prepareHome({}, NOW)).not.toThrow()
  })
})
