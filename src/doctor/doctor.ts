// Looks at everything that Errand needs, all at once and within a few seconds, and says what follows.
import type { Config } from '../config.ts'
import type { Check, Facts } from './checks.ts'
import { judgeErrand, judgeOutside } from './judge-errand.ts'
import { type IsolationVerdict, isolationVerdict, judgeIsolation } from './judge-isolation.ts'
import { judgeMachine, judgePrograms } from './judge-machine.ts'
import { probeErrand, probeOutside } from './probe-errand.ts'
import { probeIsolation, probeMachine } from './probe-machine.ts'

export interface Diagnosis {
  /** Sessions can run here. */
  ok: boolean
  isolation: IsolationVerdict
  checks: Check[]
}

export async function examine(config: Config): Promise<Diagnosis> {
  return diagnose(await gatherFacts(config))
}

export function diagnose({ machine, isolation, errand, outside }: Facts): Diagnosis {
  const checks = [
    ...judgeMachine(machine),
    ...judgePrograms(machine),
    ...judgeIsolation(isolation),
    ...judgeErrand(errand),
    ...judgeOutside(outside),
  ]
  const { instance } = errand
  const running = instance.state === 'running' ? instance.isolation : null
  return {
    ok: checks.every(({ ok }) => ok !== 'bad'),
    isolation: isolationVerdict(checks, { ociRuntime: machine.ociRuntime, running }),
    checks,
  }
}

async function gatherFacts(config: Config): Promise<Facts> {
  const [machine, isolation, errand, outside] = await Promise.all([
    probeMachine(config),
    probeIsolation(config),
    probeErrand(config),
    probeOutside(config),
  ])
  const { databaseClock, ...errandFacts } = errand
  const { endpointClock, ...outsideFacts } = outside
  const clock = { now: new Date(), elsewhere: databaseClock ?? endpointClock }
  return { machine: { ...machine, clock }, isolation, errand: errandFacts, outside: outsideFacts }
}
