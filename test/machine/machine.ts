// A Linux of its own as an ordinary process (User-mode Linux), for what the kernel of this machine may not have: control
// groups of version 2 alone, handed to ordinary users by systemd. It has no network and one processor, and reads the code
// from outside. Not a boundary: as root in there one may read whatever the user who started it may.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { lastLines, runChecked, runProcess } from '../../src/lib/process.ts'
import { orWhenMissing } from '../../src/sandbox/files.ts'
import { makeImage } from './image.ts'

const CODE = join(import.meta.dirname, '../..')
/** Pages that it never touches are never taken. */
const MEMORY = '3G'
/** Its console is a file, so that it can be read whatever became of the machine. */
const START = 'exec linux.uml "$@" >"$0/console" 2>&1'

export interface MachineRun {
  exitCode: number
  /** Everything on its console. */
  console: string
  /** What the command has left in /errand/share. */
  readShared(name: string): Promise<string>
}

/** Runs a shell script as root in the machine, in the folder of the code; it may write to /errand/share. */
export async function withMachine<T>(
  script: string,
  limitMs: number,
  look: (run: MachineRun) => Promise<T>,
): Promise<T> {
  const image = await makeImage()
  const folder = await mkdtemp(join(tmpdir(), 'errand-machine-'))
  try {
    const share = join(folder, 'share')
    await runChecked('mkdir', [share])
    await runChecked('cp', ['--sparse=always', '--reflink=auto', image, join(folder, 'disk')])
    await writeFile(join(share, 'command'), script)
    const signal = AbortSignal.timeout(limitMs)
    await runProcess('sh', ['-c', START, folder, ...kernelArguments(folder)], { signal }).catch(
      (error) => {
        if (!signal.aborted) throw error
      },
    )
    const readShared = (name: string) => readFile(join(share, name), 'utf8')
    const said = await readFile(join(folder, 'console'), 'utf8')
    const status = await orWhenMissing(undefined, readShared('status'))
    if (status === undefined)
      throw new Error(`the command did not end in the machine:\n${lastLines(said, 50)}`)
    return await look({ exitCode: Number(status), console: said, readShared })
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function kernelArguments(folder: string): string[] {
  return [
    ...[`mem=${MEMORY}`, `ubd0=${join(folder, 'disk')}`, 'root=/dev/ubda', 'rw', 'quiet'],
    `uml_dir=${folder}/`,
    ...['con=null', 'con0=null,fd:1', 'systemd.unit=errand-command.service'],
    ...['systemd.show_status=0', `errand.code=${CODE}`, `errand.node=${dirname(process.execPath)}`],
    `errand.share=${join(folder, 'share')}`,
  ]
}
