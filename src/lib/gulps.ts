// Passes a stream on in fewer and larger pieces: a program that writes a little at a time is read again only after a moment, so
// that everybody behind has less to do. What it writes fast is passed on without a pause.
import type { Readable, Writable } from 'node:stream'

const ENOUGH_BYTES = 32 << 10
const MOMENT_MS = 1

/** Leaves `to` open at the end. Once nobody takes it any more the rest is read and dropped. */
export function passInGulps(from: Readable, to: Writable): void {
  const goOn = () => from.resume()
  const onData = (chunk: Buffer) => {
    if (!to.write(chunk)) {
      from.pause()
      to.once('drain', goOn)
    } else if (chunk.length < ENOUGH_BYTES) {
      from.pause()
      setTimeout(goOn, MOMENT_MS)
    }
  }
  from.on('data', onData)
  to.once('close', () => {
    from.off('data', onData)
    goOn()
  })
}
