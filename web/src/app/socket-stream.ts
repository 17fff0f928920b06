// A live stream through a WebSocket: of ordinary connections a browser opens only six to one address for all its tabs together.
const OPEN_MS = 5_000

/** Null where no socket opens: Errand is away, it refuses, or what stands between passes none on. */
export function openSocketStream(
  address: string,
  signal: AbortSignal,
): Promise<ReadableStream<Uint8Array> | null> {
  const url = new URL(address, window.location.href)
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:'
  const socket = new WebSocket(url)
  socket.binaryType = 'arraybuffer'
  const close = () => socket.close()
  signal.addEventListener('abort', close, { once: true })
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => {
      socket.onmessage = ({ data }) => controller.enqueue(new Uint8Array(data as ArrayBuffer))
      socket.addEventListener('close', () => {
        signal.removeEventListener('abort', close)
        controller.close()
      })
    },
    cancel: close,
  })
  return new Promise((resolve) => {
    const timer = setTimeout(close, OPEN_MS)
    const settle = (opened: boolean) => {
      clearTimeout(timer)
      resolve(opened ? body : null)
    }
    socket.addEventListener('open', () => settle(true))
    socket.addEventListener('close', () => settle(false))
  })
}
