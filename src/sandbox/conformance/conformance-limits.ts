// Cases of the conformance suite: limits that the kernel enforces.
import { expect, it } from 'vitest'
import { type Cases, statusOf } from './conformance-cases.ts'

const MIB = 1 << 20
const LIMITS = { memoryBytes: 256 * MIB, cpus: 1, processes: 64, diskBytes: 128 * MIB }

/** Fills memory until it is ended. */
const HOG = `const held = []; for (;;) held.push(Buffer.alloc(${8 * MIB}, 1))`

export function limitCases({ harness, start, without }: Cases): void {
  const limited = limitedUnless(without.controlGroups)

  limited('ends what takes more memory, and the rest goes on', async () => {
    const { guest } = await start({ limits: LIMITS })
    const { stdout } = await guest.sh(`node -e '${HOG}'; echo $?`)
    expect(stdout.trim()).toBe('137')
    expect((await guest.sh('echo alive')).stdout).toBe('alive\n')
  })

  limited('tells that the runner ran out of memory', async () => {
    const { guest, sessionId } = await start({ limits: LIMITS })
    await guest.post(HOG)
    await guest.disconnected()
    await expect
      .poll(() => statusOf(harness(), sessionId), { timeout: 20_000 })
      .toMatchObject({ state: 'stopped', exit: { signal: 'SIGKILL', outOfMemory: true } })
    await harness().driver().stop(sessionId, { graceMs: 0 })
    expect((await statusOf(harness(), sessionId))?.exit).toEqual({
      signal: 'SIGKILL',
      outOfMemory: true,
    })
  })

  limited('refuses more processes', async () => {
    const { guest } = await start({ limits: LIMITS })
    const { stdout } = await guest.sh(
      `perl -e 'while (defined(my $pid = fork)) { if (!$pid) { sleep 60; exit } push @all, $pid } print scalar(@all), " $!"; kill 9, @all'`,
    )
    const [count, ...why] = stdout.split(' ')
    expect(why.join(' ')).toContain('Resource temporarily unavailable')
    expect(Number(count)).toBeLessThan(64)
  })

  limitedUnless(without.disk)('refuses more disk', async () => {
    const { guest } = await start({ limits: LIMITS })
    const { stderr } = await guest.sh('dd if=/dev/zero of=/workspace/big bs=1M count=500')
    expect(stderr).toContain('No space left on device')
    expect((await guest.sh('stat -c %s /workspace/big')).stdout.trim()).toMatch(/^\d{7,9}$/)
    expect(Number((await guest.sh('stat -c %s /workspace/big')).stdout)).toBeLessThan(128 * MIB)
  })

  limited('gives no more processor time', async () => {
    const { guest } = await start({ limits: { ...LIMITS, cpus: 0.5 } })
    const used = (await guest.evaluate(`
      const before = process.cpuUsage()
      const end = performance.now() + 1500
      while (performance.now() < end) {}
      const { user, system } = process.cpuUsage(before)
      return (user + system) / 1500_000`)) as number
    expect(used).toBeLessThan(0.7)
  })

  it('drops what a program writes to its log over the cap', async () => {
    const { guest } = await start()
    const { exitCode } = await guest.sh('head -c 8000000 /dev/zero > /proc/1/fd/1')
    expect(exitCode).toBe(0)
    expect((await guest.sh('echo alive')).stdout).toBe('alive\n')
  })
}

function limitedUnless(why?: string) {
  return (name: string, run: () => Promise<void>) =>
    why === undefined ? it(name, run) : it.skip(`${name} (not here: ${why})`, run)
}
