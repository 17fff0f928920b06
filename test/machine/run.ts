// `node test/machine/run.ts 'SHELL COMMAND'`: runs it as root in the test machine, in the folder of the code, and ends as it
// does. For by hand; needs root, mmdebstrap and user-mode-linux.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runMachine } from './machine.ts'

const LIMIT_MS = 30 * 60_000

const folder = await mkdtemp(join(tmpdir(), 'errand-machine-'))
try {
  const run = await runMachine(process.argv.slice(2).join(' '), { folder, limitMs: LIMIT_MS })
  process.stdout.write(run.console)
  process.exitCode = run.exitCode
} finally {
  await rm(folder, { recursive: true, force: true })
}
