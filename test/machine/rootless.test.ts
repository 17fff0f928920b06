// Sandboxes of an ordinary user where systemd hands control groups of version 2 to users: the limits of the conformance
// suite, which are skipped where it does not.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Diagnosis } from '../../src/doctor/doctor.ts'
import { type MachineRun, runMachine } from './machine.ts'

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

const SWITCHES = {
  'kernel.unprivileged_userns_clone': 'for root alone',
  'user.max_user_namespaces': 'user.max_user_namespaces is 0',
}
const CASES = 'limits|removal|while no driver|what it does not hold|refusals.*limit'
/** One after the other in one machine: half of the time of each is its start. */
const SCRIPT = `vitest run --configLoader native --project conformance \
src/sandbox/rootless/rootless.conformance.ts -t '${CASES}' --reporter=json --outputFile=/errand/share/report.json \
|| echo "vitest ended with $?" >/errand/share/failed
exec sh test/machine/restricted.sh ${Object.keys(SWITCHES)
  .map((name) => `${name}=0`)
  .join(' ')}`

describe.skipIf(process.arch !== 'x64')('an ordinary user with delegated control groups', () => {
  let folder: string
  let run: MachineRun
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'errand-machine-'))
    run = await runMachine(SCRIPT, { folder, limitMs: LIMIT_MS })
  }, LIMIT_MS)
  afterAll(() => rm(folder, { recursive: true, force: true }))

  it('has every limit kept by the kernel, and leaves no control group behind', async () => {
    const report = JSON.parse(await run.readShared('report.json')) as Report
    const results = report.testResults.flatMap(({ assertionResults }) => assertionResults)
    const failed = results.filter(({ status }) => status === 'failed')
    expect(failed.map(({ title, failureMessages }) => [title, ...failureMessages])).toEqual([])
    const passed = results.filter(({ status }) => status === 'passed').map(({ title }) => title)
    expect(passed).toEqual(expect.arrayContaining(MUST_PASS))
    await expect(run.readShared('failed')).rejects.toMatchObject({ code: 'ENOENT' })
  })

  it.each(Object.entries(SWITCHES))(
    'is told that %s keeps it from making namespaces, and what mends it',
    async (name, found) => {
      expect(run.exitCode, run.console).toBe(0)
      const check = async (file: string) => {
        const { checks }: Diagnosis = JSON.parse(await run.readShared(file))
        return checks.find(({ name }) => name === 'user namespaces')
      }
      expect(await check(`${name}.doctor`)).toMatchObject({ ok: 'bad', found })
      const up = await run.readShared(`${name}.up`)
      expect(up).toContain('No session can start. This machine restricts the user namespaces')
      expect(up).toContain(`echo ${name}=1`)
      expect(await check(`${name}.mended`)).toMatchObject({ ok: 'ok', found: 'allowed' })
    },
  )
})
