// Before suites that run what was built: refuses when a source is newer, since they would try the code of yesterday.
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'

const ROOT = join(import.meta.dirname, '..')
const SOURCES = ['src', 'demo', 'web', 'scripts']

export async function setup(): Promise<void> {
  const built = await stat(join(ROOT, 'dist/.built')).then(
    ({ mtimeMs }) => mtimeMs,
    () => 0,
  )
  for (const folder of SOURCES)
    for (const entry of await readdir(join(ROOT, folder), {
      recursive: true,
      withFileTypes: true,
    })) {
      const path = join(entry.parentPath, entry.name)
      if (!entry.isFile() || (await stat(path)).mtimeMs <= built) continue
      throw new Error(`${path} is newer than what was built of it. Run: node scripts/build.ts`)
    }
}
