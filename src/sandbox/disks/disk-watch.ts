// Ends sandboxes whose files take more than they may have, where no file system keeps to that limit. It looks every few
// seconds, so a sandbox can have taken more by then, as far as the disk goes.
import { writeFile } from 'node:fs/promises'
import { delay } from '../../lib/deadline.ts'
import { isAlive } from '../../lib/process-identity.ts'
import type { Oci } from '../oci/oci-context.ts'
import { type SandboxPaths, sandboxesFolder, sandboxPaths } from '../oci/oci-paths.ts'
import { listSessionIds, readRecord, readRun } from '../oci/oci-record.ts'

const PAUSE_MS = 3000
/** So that a large tree takes no more than this part of a processor. */
const PAUSE_FACTOR = 20

type Report = (what: string, error: unknown) => void

/** Goes on as long as the process does. */
export async function watchDisks(oci: Oci, report: Report): Promise<never> {
  for (;;) {
    const startedAt = performance.now()
    const ids = await listSessionIds(sandboxesFolder(oci.config.dataDir))
    for (const id of ids)
      await checkDisk(oci, sandboxPaths(oci.config, id)).catch((error) =>
        report(`look at the disk of ${id}`, error),
      )
    await delay(Math.max(PAUSE_MS, (performance.now() - startedAt) * PAUSE_FACTOR))
  }
}

async function checkDisk({ rights }: Oci, paths: SandboxPaths): Promise<void> {
  const run = await readRun(paths)
  if (!run || !(await isAlive(run))) return
  const record = await readRecord(paths)
  const bytes = (await rights.measureDisk?.(paths)) ?? 0
  if (!record || bytes <= record.spec.limits.diskBytes || !(await isAlive(run))) return
  await writeFile(paths.overDisk, '')
  process.kill(run.pid, 'SIGKILL')
}
