// `errand attack` as a user runs it: real programs, a real session, every control in place. In the suite's network, so that
// nothing leaves even when one is not.
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { ATTACK_CASES } from '../../src/attack/all-cases.ts'
import { runProcess } from '../../src/lib/process.ts'
import { requireOwnNetwork } from './own-network.ts'

const MAIN = join(import.meta.dirname, '../../src/main.js')
const LIMIT_MS = 600_000

it(
  'prints what holds on this machine, and ends well when all of it does',
  async () => {
    requireOwnNetwork()
    const { stdout, stderr, exitCode } = await runProcess(process.execPath, [
      MAIN,
      'attack',
      '--json',
    ])
    const printed = stdout.trim().split('\n')
    const results = printed.map((line) => JSON.parse(line))
    expect({ exitCode, stderr }, stdout).toEqual({ exitCode: 0, stderr: '' })
    expect(
      results.map(({ id, result }) => ({ id, result })),
      stdout,
    ).toEqual(
      ATTACK_CASES.map(({ id, notOnInstallation }) => ({
        ...{ id, result: notOnInstallation === undefined ? 'held' : 'not_tried' },
      })),
    )
  },
  LIMIT_MS,
)
