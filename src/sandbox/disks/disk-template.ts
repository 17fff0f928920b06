// An empty file system as what it differs in from a file of zeros, so that further ones of its size need no program.
import { type FileHandle, open } from 'node:fs/promises'
import { runChecked } from '../../lib/process.ts'

interface Piece {
  offset: number
  data: Buffer
}
export type DiskTemplate = Piece[]

/** Prints offset and length of each part of a file that is not a hole; Node.js has no call for it. */
const LIST_DATA = `
open my $file, '<', $ARGV[0] or die "$ARGV[0]: $!\\n";
my ($end, $SEEK_DATA, $SEEK_HOLE) = (-s $file, 3, 4);
for (my $at = 0; $at < $end && defined(my $data = sysseek $file, $at, $SEEK_DATA);) {
    $at = sysseek $file, $data, $SEEK_HOLE;
    printf "%d %d\\n", $data, $at - $data;
}`

/** A file system that does not tell its holes would have everything read. */
const MOST_BYTES = 16 << 20

/** Undefined where the file has more data than is worth keeping. */
export async function readTemplate(path: string): Promise<DiskTemplate | undefined> {
  const lines = (await runChecked('perl', ['-e', LIST_DATA, path])).trim().split('\n')
  const parts = lines.map((line) => line.split(' ').map(Number))
  const total = parts.reduce((sum, [, length = 0]) => sum + length, 0)
  if (total === 0 || total > MOST_BYTES) return undefined
  return await withFile(path, 'r', (file) =>
    Promise.all(
      parts.map(async ([offset = 0, length = 0]) => {
        const data = Buffer.alloc(length)
        await file.read(data, 0, length, offset)
        return { offset, data }
      }),
    ),
  )
}

/** Afterwards it is on the disk of the host, also when the machine fails. */
export async function writeTemplate(
  path: string,
  bytes: number,
  template: DiskTemplate,
): Promise<void> {
  await withFile(path, 'w', async (file) => {
    await file.truncate(bytes)
    await Promise.all(template.map(({ offset, data }) => file.write(data, 0, data.length, offset)))
    await file.datasync()
  })
}

async function withFile<T>(
  path: string,
  flags: string,
  work: (file: FileHandle) => Promise<T>,
): Promise<T> {
  const file = await open(path, flags, 0o600)
  try {
    return await work(file)
  } finally {
    await file.close()
  }
}
