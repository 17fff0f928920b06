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
  const ended = new AbortController()
  const end = () => ended.abort()
  // At once: a connection that is dead does not answer that it is closed.
  signal.addEventListener('abort', end, { signal: ended.signal })
  socket.addEventListener('close', end)
  let isCancelled = false
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => {
      ended.signal.addEventListener('abort', () => {
        socket.onmessage = null
        if (!isCancelled) controller.close()
        close(socket)
      })
      socket.onmessage = ({ data }) => controller.enqueue(new Uint8Array(data as ArrayBuffer))
    },
    cancel: () => {
      isCancelled = true
      end()
    },
  })
  return new Promise((resolve) => {
    const timer = setTimeout(end, OPEN_MS)
    socket.addEventListener('open', () => {
      clearTimeout(timer)
      resolve(body)
    })
    ended.signal.addEventListener('abort', () => {
      clearTimeout(timer)
      resolve(null)
    })
  })
}

/** One that is still being opened is closed when it is: browsers complain of it otherwise. */
function close(socket: WebSocket): void {
  if (socket.readyState === WebSocket.CONNECTING)
    socket.addEventListener('open', () => socket.close())
  else socket.close()
}
