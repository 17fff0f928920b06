import { Socket } from 'node:net'
import { describe, expect, it } from 'vitest'
import { createConnect } from './connect.ts'

const never = new AbortController().signal
const refused = () => Object.assign(new Error('refused'), { code: 'ECONNREFUSED' })

/** Sockets that do what the address says. */
function fakeNetwork() {
  const opened = new Map<string, Socket>()
  const open = (address: string) => {
    const socket = new Socket()
    opened.set(address, socket)
    if (address.startsWith('good')) setImmediate(() => socket.emit('connect'))
    if (address.startsWith('bad')) setImmediate(() => socket.destroy(refused()))
    return socket
  }
  return { opened, open }
}

describe('createConnect', () => {
  it('takes the first that answers and lets go of the others', async () => {
    const { opened, open } = fakeNetwork()
    const connect = createConnect({ open, nextAfterMs: 200 })
    const socket = await connect(['silent', 'bad', 'good', 'later'], 443, never)
    expect(socket).toBe(opened.get('good'))
    expect(socket.destroyed).toBe(false)
    expect(opened.get('silent')?.destroyed).toBe(true)
    expect(opened.has('later')).toBe(false)
  })

  it('goes on at once when one refuses', async () => {
    const { opened, open } = fakeNetwork()
    const connect = createConnect({ open, nextAfterMs: 60_000 })
    expect(await connect(['bad1', 'bad2', 'good'], 443, never)).toBe(opened.get('good'))
  })

  it('says that nobody answered, or refused', async () => {
    const { opened, open } = fakeNetwork()
    const connect = createConnect({ open, limitMs: 20, nextAfterMs: 1 })
    // Enough for one that refuses on a busy machine.
    const patient = createConnect({ open, limitMs: 30_000 })
    await expect(patient(['bad1', 'bad2'], 443, never)).rejects.toMatchObject({
      code: 'unavailable',
      reason: 'upstream_unreachable',
    })
    await expect(connect(['silent', 'bad'], 443, never)).rejects.toMatchObject({
      code: 'timeout',
      reason: 'upstream_timeout',
    })
    expect(opened.get('silent')?.destroyed).toBe(true)
    await expect(connect([], 443, never)).rejects.toMatchObject({ reason: 'upstream_unreachable' })
  })

  it('stops when nobody waits for it any more', async () => {
    const { opened, open } = fakeNetwork()
    const controller = new AbortController()
    const waiting = createConnect({ open })(['silent'], 443, controller.signal)
    controller.abort(new Error('gone'))
    await expect(waiting).rejects.toMatchObject({ reason: 'upstream_unreachable' })
    expect(opened.get('silent')?.destroyed).toBe(true)
    await expect(createConnect({ open })(['other'], 443, controller.signal)).rejects.toThrow()
    expect(opened.has('other')).toBe(false)
  })
})
