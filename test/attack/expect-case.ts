// What every case of the suite has to show: with its control each way fails for the control's reason, without it each way
// works. The same ways are tried on both sides.
import { expect } from 'vitest'
import { type AttackCase, judge, readAttempts } from '../../src/attack/attack-case.ts'

export function expectHeld(attack: AttackCase, output: string): string[] {
  const { held, broken } = attack
  const attempts = readAttempts(output)
  expect(attempts, `nothing was tried: ${output}`).not.toEqual([])
  for (const { way, outcome } of attempts) {
    expect(outcome, `${way}, with the control`).toMatch(held)
    expect(outcome, `${way}, with the control`).not.toMatch(broken)
  }
  expect(judge(attack, output)).toMatchObject({ kind: 'held' })
  return attempts.map(({ way }) => way)
}

export function expectBroken({ broken }: AttackCase, output: string, ways: string[]): void {
  const attempts = readAttempts(output)
  expect(
    attempts.map(({ way }) => way),
    output,
  ).toEqual(ways)
  for (const { way, outcome } of attempts)
    expect(outcome, `${way}, without the control`).toMatch(broken)
}
