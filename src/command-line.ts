// The command line of Errand: `up` and `demo` run here, everything else is a client of a running installation, which is
// started when there is none.
import { addAttackCommand } from './attack/command.ts'
import { addBackupCommands } from './backup/command.ts'
import { createProgram } from './cli/program.ts'
import { CODE_DIR, readConfig } from './config.ts'
import { addDemoCommand } from './demo-command.ts'
import { addDoctorCommand } from './doctor/command.ts'
import { addImageCommand } from './image/command.ts'
import { connect } from './installation/connect.ts'
import { versionOf } from './installation/instance.ts'
import { createCliDeps } from './terminal.ts'
import { addUpCommand } from './up-command.ts'

const deps = createCliDeps((options) => connect(readConfig, options))
const { program, cli, run } = createProgram(deps)
program.version(versionOf({ codeDir: CODE_DIR }))
addUpCommand(program)
addDemoCommand(program, cli)
addDoctorCommand(program, cli)
addBackupCommands(program, cli)
addImageCommand(program, cli)
addAttackCommand(program, cli)
process.exitCode = await run(process.argv.slice(2))
