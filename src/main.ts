// The command line of Errand: `up` and `demo` run here, everything else is a client of a running installation, which is
// started when there is none.
import { Command } from 'commander'
import { addUpCommand } from './up-command.ts'

const program = new Command('errand')
addUpCommand(program)
await program.parseAsync()
