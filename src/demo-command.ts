// `errand demo` as the command line knows it; what it does is loaded when it is called.
import type { Command } from 'commander'
import type { Cli } from './cli/command.ts'
import type { DemoOptions } from './installation/demo.ts'

export function addDemoCommand(program: Command, cli: Cli): void {
  program
    .command('demo')
    .description('see a failing test being fixed, without an account or a key')
    .option('--json', 'print one JSON object and nothing else')
    .option('--scenario <name>', 'what the scripted model plays', 'fix-failing-test')
    .action(async (options: DemoOptions) => {
      const { runDemo } = await import('./installation/demo.ts')
      await runDemo(cli, options)
    })
}
