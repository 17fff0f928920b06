import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { openSocketStream } from './socket-stream.ts'

/** Says that it is open only when told, and never that it is closed, as one whose connection is dead. */
class FakeSocket extends EventTarget {
  static readonly CONNECTING = 0
  static last: FakeSocket
  readyState = FakeSocket.CONNECTING
  isClosed = false
  onmessage: ((event: { data: ArrayBuffer }) => void) | null = null
  readonly url: string
  constructor(url: URL) {
    super()
    this.url = String(url)
    FakeSocket.last = this
  }
  open() {
    this.readyState = 1
    this.dispatchEvent(new Event('open'))
  }
  close() {
    this.isClosed = true
  }
}

beforeEach(() => {
  vi.stubGlobal('WebSocket', FakeSocket)
  vi.stubGlobal('window', { location: { href: 'https://errand.example/sessions/x' } })
})
afterEach(() => {
  vi.unstubAllGlobals()
})

it('reads until it is let go of, whatever the connection answers', async () => {
  const abort = new AbortController()
  const opening = openSocketStream('/api/v1/sessions/stream', abort.signal)
  const socket = FakeSocket.last
  expect(socket.url).toBe('wss://errand.example/api/v1/sessions/stream')
  socket.open()
  const reader = (await opening)?.getReader()
  socket.onmessage?.({ data: Uint8Array.of(1, 2).buffer })
  expect((await reader?.read())?.value).toEqual(Uint8Array.of(1, 2))
  abort.abort()
  expect(await reader?.read()).toEqual({ done: true, value: undefined })
  expect(socket.isClosed).toBe(true)
})

it('is closed once it is open, when it was let go of before', async () => {
  const abort = new AbortController()
  const opening = openSocketStream('/api/v1/sessions/stream', abort.signal)
  const socket = FakeSocket.last
  abort.abort()
  expect(await opening).toBeNull()
  expect(socket.isClosed).toBe(false)
  socket.open()
  expect(socket.isClosed).toBe(true)
})

it('may be cancelled by its reader', async () => {
  const abort = new AbortController()
  const opening = openSocketStream('/api/v1/sessions/stream', abort.signal)
  FakeSocket.last.open()
  await (await opening)?.cancel()
  expect(FakeSocket.last.isClosed).toBe(true)
  abort.abort()
})
