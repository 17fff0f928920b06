// Every attack, by the part of Errand that holds it.
import type { AttackCase } from './attack-case.ts'
import { ISOLATION_CASES } from './isolation-cases.ts'

export const ATTACK_CASES: readonly AttackCase[] = [...ISOLATION_CASES]
