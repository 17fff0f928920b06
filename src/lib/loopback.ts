/** Of an address of this very machine: whatever proxy there is, it does not lead there. */
export function isLoopback(url: string): boolean {
  return ['127.0.0.1', 'localhost', '[::1]'].includes(new URL(url).hostname)
}
