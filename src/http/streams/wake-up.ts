// Waiting for a call, for a while: calls that come while nobody waits are remembered as one.

export interface WakeUp {
  call(): void
  /** `over` once the signal has aborted. One waits at a time. */
  wait(limitMs: number): Promise<'called' | 'time' | 'over'>
  isOver(): boolean
}

export function createWakeUp(signal: AbortSignal): WakeUp {
  let isCalled = false
  let wake = () => {}
  const pause = (limitMs: number) =>
    new Promise<void>((resolve) => {
      const end = () => {
        clearTimeout(timer)
        signal.removeEventListener('abort', end)
        resolve()
      }
      const timer = setTimeout(end, limitMs)
      signal.addEventListener('abort', end, { once: true })
      wake = end
    })
  return {
    call: () => {
      isCalled = true
      wake()
    },
    isOver: () => signal.aborted,
    wait: async (limitMs) => {
      if (!isCalled && !signal.aborted) await pause(limitMs)
      if (signal.aborted) return 'over'
      if (!isCalled) return 'time'
      isCalled = false
      return 'called'
    },
  }
}
