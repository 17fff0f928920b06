// Every attack, by the part of Errand that holds it.
import { API_CASES } from './api-cases.ts'
import type { AttackCase } from './attack-case.ts'
import { DOOR_CASES } from './door-cases.ts'
import { GIT_CASES } from './git-cases.ts'
import { ISOLATION_CASES } from './isolation-cases.ts'
import { LAYER_CASES } from './layer-cases.ts'
import { MODEL_CASES } from './model-cases.ts'
import { NETWORK_CASES } from './network-cases.ts'
import { SHOWN_CASES } from './shown-cases.ts'

export const ATTACK_CASES: readonly AttackCase[] = [
  ...ISOLATION_CASES,
  ...NETWORK_CASES,
  ...GIT_CASES,
  ...LAYER_CASES,
  ...MODEL_CASES,
  ...DOOR_CASES,
  ...API_CASES,
  ...SHOWN_CASES,
]
