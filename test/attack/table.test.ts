// docs/threat-model.md and the suite say the same: each row of the table is a case, and each case a row.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { ATTACK_CASES } from '../../src/attack/all-cases.ts'
import { API_SWITCHES } from './api-switches.ts'
import { DOOR_SWITCHES, MODEL_SWITCHES, NETWORK_SWITCHES } from './gateway-switches.ts'
import { GIT_SWITCHES } from './git-switches.ts'
import { ISOLATION_SWITCHES } from './isolation-switches.ts'
import { LAYER_SWITCHES } from './layer-switches.ts'
import { SHOWN_SWITCHES } from './shown-switches.ts'

const SWITCHES = [
  ...[ISOLATION_SWITCHES, NETWORK_SWITCHES, GIT_SWITCHES, LAYER_SWITCHES, MODEL_SWITCHES],
  ...[DOOR_SWITCHES, API_SWITCHES, SHOWN_SWITCHES],
]

/** The cells of the table below a heading. */
async function tableBelow(heading: string): Promise<string[][]> {
  const text = await readFile(join(import.meta.dirname, '../../docs/threat-model.md'), 'utf8')
  const [, section = ''] = text.split(`### ${heading}\n`)
  const lines = (section.split(/^##/m)[0] ?? '').split('\n')
  const rows = lines.filter((line) => line.startsWith('|')).slice(2)
  return rows.map((row) => row.split(' | ').map((cell) => cell.replace(/^\||\|$/g, '').trim()))
}

it('has a row for each case, and a case for each row', async () => {
  const rows = await tableBelow('3.1 Attacked from inside a sandbox')
  const ids = ATTACK_CASES.map(({ id }) => id)
  expect(rows.map(([id = '']) => id).toSorted()).toEqual(ids.toSorted())
  expect(new Set(ids).size).toBe(ids.length)
  for (const row of rows) expect(row, row[0]).toHaveLength(5)
})

it('has a switch for each case, and no other', () => {
  const switches = SWITCHES.flatMap((some) => Object.keys(some))
  expect(switches.toSorted()).toEqual(ATTACK_CASES.map(({ id }) => id).toSorted())
})

it('says why a control has no case', async () => {
  const rows = await tableBelow('3.2 Without a case')
  expect(rows.length).toBeGreaterThan(0)
  for (const row of rows) {
    expect(row, row[0]).toHaveLength(5)
    expect(row[4], row[0]).not.toBe('')
  }
})
