// A file that is there as a whole or not at all, whatever happens while it is made.
import { chown, link, rm, writeFile } from 'node:fs/promises'

/** Rejects with EEXIST when it is there. */
export async function putWhole(
  path: string,
  content: string | Uint8Array,
  { mode = 0o644, owner }: { mode?: number; owner?: { uid: number; gid: number } } = {},
): Promise<void> {
  const unfinished = `${path}.${process.pid}`
  try {
    await writeFile(unfinished, content, { mode, flush: true })
    if (owner) await chown(unfinished, owner.uid, owner.gid)
    await link(unfinished, path)
  } finally {
    await rm(unfinished, { force: true })
  }
}
