// A disk that is full in the middle of a line, for tests: the kernel lets no file of this process grow over so many bytes.
// What is over it is refused after the part that fits was written, as on a full disk.
import { execFileSync } from 'node:child_process'

export async function withFileLimit(bytes: number, work: () => Promise<void>): Promise<void> {
  // The signal that comes with the refusal would end the process.
  const ignore = () => undefined
  process.on('SIGXFSZ', ignore)
  const pid = `--pid=${process.pid}`
  const before = execFileSync('prlimit', [pid, '--fsize', '--output=SOFT', '--noheadings'])
  const setLimit = (limit: string) => execFileSync('prlimit', [pid, `--fsize=${limit}:`])
  setLimit(String(bytes))
  try {
    await work()
  } finally {
    setLimit(before.toString().trim())
    process.off('SIGXFSZ', ignore)
  }
}
