// Every path that the oci driver uses for one sandbox, built from its checked id and never taken from a caller.
import { join } from 'node:path'
import { AppError } from '../../protocol/errors.ts'
import { layerIdSchema, sessionIdSchema } from '../../protocol/ids.ts'

export interface OciFolders {
  dataDir: string
  runtimeDir: string
  doorsDir: string
}

export type SandboxPaths = ReturnType<typeof sandboxPaths>

export function sandboxPaths({ dataDir, runtimeDir, doorsDir }: OciFolders, sessionId: string) {
  if (!sessionIdSchema.safeParse(sessionId).success)
    throw new AppError('invalid', 'bad_session_id', 'This is not the id of a session')
  const kept = join(sandboxesFolder(dataDir), sessionId)
  const bundle = join(runtimeDir, 'sandboxes', sessionId)
  return {
    sessionId,
    /** Survives stop and reboot. */
    kept,
    record: join(kept, 'sandbox.json'),
    sessionFile: join(kept, 'session.json'),
    beforeRunner: join(kept, 'before-runner.sh'),
    layer: join(kept, 'layer'),
    disk: join(kept, 'disk.img'),
    /** In place of the disk where no image can be mounted. */
    files: join(kept, 'files'),
    lastRun: join(kept, 'run.json'),
    lastExit: join(kept, 'exit.json'),
    log: join(kept, 'console.log'),
    /** Only while it runs. The user of the sandbox passes through it, so everything above is 0711. */
    bundle,
    config: join(bundle, 'config.json'),
    root: join(bundle, 'root'),
    diskMount: join(bundle, 'disk'),
    layerMount: (index: number) => join(bundle, `layer-${index}`),
    /** The disk of a kept layer as it is, and its files with the owners of this sandbox. */
    keptDisk: (index: number) => join(bundle, `kept-${index}`),
    keptMount: (index: number) => join(bundle, `kept-${index}-files`),
    pidFile: join(bundle, 'pid'),
    exitFile: join(bundle, 'exit'),
    runtimeLog: join(bundle, 'runtime.log'),
    /** There when it was ended because its files took more than it may have. */
    overDisk: join(bundle, 'over-disk'),
    runtimeState: join(runtimeStateFolder(runtimeDir), sessionId),
    door: join(doorsDir, sessionId),
  }
}

export function layerPaths({ dataDir }: Pick<OciFolders, 'dataDir'>, layerId: string) {
  if (!layerIdSchema.safeParse(layerId).success)
    throw new AppError('invalid', 'bad_layer_id', 'This is not the id of a layer')
  const folder = join(layersFolder(dataDir), layerId)
  return {
    layerId,
    folder,
    /** Written last: without it a layer does not exist. */
    record: join(folder, 'layer.json'),
    disk: join(folder, 'disk.img'),
    /** In place of the disk where no image can be mounted. */
    files: join(folder, 'files'),
  }
}

export type LayerPaths = ReturnType<typeof layerPaths>

export function layersFolder(dataDir: string): string {
  return join(dataDir, 'layers')
}

export function sandboxesFolder(dataDir: string): string {
  return join(dataDir, 'sandboxes')
}

export function runtimeStateFolder(runtimeDir: string): string {
  return join(runtimeDir, 'runc')
}
