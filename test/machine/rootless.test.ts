// Sandboxes of an ordinary user where systemd hands control groups of version 2 to users: the limits of the conformance
// suite, which are skipped where it does not.
import { describe, expect, it } from 'vitest'
import type { Diagnosis } from '../../src/doctor/doctor.ts'
import { withMachine } from './machine.ts'

const LIMIT_MS = 600_000
const MUST_PASS = [
  'ends what takes more memory, and the rest goes on',
  'tells that the runner ran out of memory',
  'refuses more processes',
  'gives no more processor time',
  'leaves nothing behind after a removal',
  'names the limit that was not delegated, and what mends it',
]

interface Report {
  testResults: {
    assertionResults: { title: string; status: string; failureMessages: string[] }[]
  }[]
}

describe.skipIf(process.arch !== 'x64')('an ordinary user with delegated control groups', () => {
  it(
    'has every limit kept by the kernel, and leaves no control group behind',
    async () => {
      const cases = 'limits|removal|while no driver|what it does not hold|refusals.*limit'
      const script = `exec vitest run --configLoader native --project conformance \
src/sandbox/rootless/rootless.conformance.ts -t '${cases}' --reporter=json --outputFile=/errand/share/report.json`
      await withMachine(script, LIMIT_MS, async (run) => {
        const report = JSON.parse(await run.readShared('report.json')) as Report
        const results = report.testResults.flatMap(({ assertionResults }) => assertionResults)
        const failed = results.filter(({ status }) => status === 'failed')
        expect(failed.map(({ title, failureMessages }) => [title, ...failureMessages])).toEqual([])
        const passed = results.filter(({ status }) => status === 'passed').map(({ title }) => title)
        expect(passed).toEqual(expect.arrayContaining(MUST_PASS))
        expect(run.exitCode).toBe(0)
      })
    },
    LIMIT_MS,
  )

  it(
    'is told what keeps it from making namespaces, and what mends it',
    async () => {
      const switches = {
        'kernel.unprivileged_userns_clone': 'for root alone',
        'user.max_user_namespaces': 'user.max_user_namespaces is 0',
      }
      const assignments = Object.keys(switches).map((name) => `${name}=0`)
      const script = `exec sh test/machine/restricted.sh ${assignments.join(' ')}`
      await withMachine(script, LIMIT_MS, async (run) => {
        expect(run.exitCode, run.console).toBe(0)
        const check = async (file: string) => {
          const { checks }: Diagnosis = JSON.parse(await run.readShared(file))
          return checks.find(({ name }) => name === 'user namespaces')
        }
        for (const [name, found] of Object.entries(switches)) {
          expect(await check(`${name}.doctor`)).toMatchObject({ ok: 'bad', found })
          const up = await run.readShared(`${name}.up`)
          expect(up).toContain('No session can start. This machine restricts the user namespaces')
          expect(up).toContain(`echo ${name}=1`)
          expect(await check(`${name}.mended`)).toMatchObject({ ok: 'ok', found: 'allowed' })
        }
      })
    },
    LIMIT_MS,
  )
})
