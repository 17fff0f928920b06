// Opens a TCP connection to the first address that answers: the next one is tried when one fails or after a short wait
// (RFC 8305 in small). Takes addresses only, never names, so nothing is looked up a second time.
import { connect as connectTcp, isIPv6, type Socket } from 'node:net'
import { DeadlineError, withDeadline } from '../../lib/deadline.ts'
import { AppError } from '../../protocol/errors.ts'

/** Rejects with AppError `upstream_unreachable` or `upstream_timeout`. The socket is half-open capable. */
export type Connect = (
  addresses: readonly string[],
  port: number,
  signal: AbortSignal,
) => Promise<Socket>

export interface ConnectOptions {
  /** Starts one connection; tests hand in one that ends at loopback. */
  open?: (address: string, port: number) => Socket
  limitMs?: number
  nextAfterMs?: number
}

export function createConnect(options: ConnectOptions = {}): Connect {
  const { open = openTcp, limitMs = 10_000, nextAfterMs = 250 } = options
  return async (addresses, port, signal) => {
    try {
      return await withDeadline(
        'connecting',
        limitMs,
        (limit) => race({ addresses, port, open, nextAfterMs }, limit),
        signal,
      )
    } catch (error) {
      if (error instanceof DeadlineError) {
        throw new AppError('timeout', 'upstream_timeout', 'the host did not answer in time')
      }
      const code = (error as NodeJS.ErrnoException).code ?? 'no address'
      const message = `the host could not be reached (${code})`
      throw new AppError('unavailable', 'upstream_unreachable', message, { cause: error })
    }
  }
}

interface Race {
  addresses: readonly string[]
  port: number
  open: (address: string, port: number) => Socket
  nextAfterMs: number
}

function race({ addresses, port, open, nextAfterMs }: Race, signal: AbortSignal): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>()
  const waiting = [...addresses]
  const tried = new Set<Socket>()
  let timer: NodeJS.Timeout | undefined
  const finish = (winner: Socket | undefined) => {
    clearTimeout(timer)
    signal.removeEventListener('abort', onAbort)
    waiting.length = 0
    for (const socket of tried) if (socket !== winner) socket.destroy()
  }
  const onAbort = () => {
    finish(undefined)
    reject(signal.reason)
  }
  const next = () => {
    clearTimeout(timer)
    const address = waiting.shift()
    if (address === undefined) return
    const socket = open(address, port)
    tried.add(socket)
    const onError = (error: Error) => {
      tried.delete(socket)
      if (waiting.length > 0) next()
      else if (tried.size === 0) {
        finish(undefined)
        reject(error)
      }
    }
    socket.once('error', onError)
    socket.once('connect', () => {
      socket.off('error', onError)
      finish(socket)
      resolve(socket)
    })
    if (waiting.length > 0) timer = setTimeout(next, nextAfterMs)
  }
  signal.addEventListener('abort', onAbort, { once: true })
  if (signal.aborted) onAbort()
  else if (waiting.length === 0) reject(new Error('no address to connect to'))
  else next()
  return promise
}

function openTcp(address: string, port: number): Socket {
  return connectTcp({
    host: address,
    port,
    family: isIPv6(address) ? 6 : 4,
    allowHalfOpen: true,
    noDelay: true,
    keepAlive: true,
  })
}
