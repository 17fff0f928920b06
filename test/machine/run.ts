// `node test/machine/run.ts 'SHELL COMMAND'`: runs it as root in the test machine, in the folder of the code, and ends as it
// does. For by hand; needs root, mmdebstrap and user-mode-linux.
import { withMachine } from './machine.ts'

const LIMIT_MS = 30 * 60_000

process.exitCode = await withMachine(process.argv.slice(2).join(' '), LIMIT_MS, async (run) => {
  process.stdout.write(run.console)
  return run.exitCode
})
