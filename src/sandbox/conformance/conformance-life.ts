// Cases of the conformance suite: the five verbs, in order, repeated, half-way and with wrong arguments.
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { delay } from '../../lib/deadline.ts'
import { SANDBOX_PATHS } from '../../protocol/network.ts'
import { type Cases, endSandbox, newSpec, startSandbox, statusOf } from './conformance-cases.ts'

export function lifeCases({ harness, start }: Cases): void {
  const driver = () => harness().driver()

  it('keeps every file over stop and start', async () => {
    const { guest, sessionId } = await start()
    await guest.sh('echo one > /workspace/a; echo two > /tmp/b; echo three > /etc/c; rm /etc/issue')
    await driver().stop(sessionId, { graceMs: 5000 })
    expect(await statusOf(harness(), sessionId)).toMatchObject({
      state: 'stopped',
      exit: { code: 7, outOfMemory: false },
    })
    await driver().start(sessionId)
    await guest.connected()
    const { stdout } = await guest.sh('cat /workspace/a /tmp/b /etc/c; ls /etc/issue 2>&1')
    expect(stdout).toMatch(/^one\ntwo\nthree\n.*No such file/)
  })

  it('stops what does not want to stop, frozen processes included', async () => {
    const { guest, sessionId } = await start()
    await guest.evaluate(`
      process.removeAllListeners('SIGTERM')
      process.on('SIGTERM', () => undefined)
      const { spawn } = await import('node:child_process')
      const child = spawn('sleep', ['1000'], { stdio: 'ignore' })
      process.kill(child.pid, 'SIGSTOP')`)
    const started = performance.now()
    await driver().stop(sessionId, { graceMs: 300 })
    expect(performance.now() - started).toBeLessThan(5000)
    expect((await statusOf(harness(), sessionId))?.exit).toMatchObject({ signal: 'SIGKILL' })
  })

  it('may be asked for everything twice', async () => {
    const spec = newSpec()
    onTestFinished(() => driver().remove(spec.sessionId))
    await mkdir(join(harness().doorsDir, spec.sessionId))
    await driver().create(spec)
    await driver().create(spec)
    expect(await statusOf(harness(), spec.sessionId)).toEqual({
      sessionId: spec.sessionId,
      state: 'created',
    })
    await Promise.all([driver().start(spec.sessionId), driver().start(spec.sessionId)])
    const first = await statusOf(harness(), spec.sessionId)
    await driver().start(spec.sessionId)
    expect(await statusOf(harness(), spec.sessionId)).toEqual(first)
    await driver().stop(spec.sessionId, { graceMs: 0 })
    await driver().stop(spec.sessionId, { graceMs: 0 })
    await driver().remove(spec.sessionId)
    await driver().remove(spec.sessionId)
    await driver().stop(spec.sessionId, { graceMs: 0 })
    expect(await statusOf(harness(), spec.sessionId)).toBeUndefined()
  })

  it('tells what all in it uses of the processors, also what has ended', async () => {
    const { guest, sessionId } = await start()
    const used = () => driver().usedMs(sessionId)
    const before = await used()
    await guest.sh('timeout 1 sh -c "while :; do :; done"; true')
    const after = await used()
    expect(after - before).toBeGreaterThan(150)
    await guest.sh('setsid sh -c "while :; do :; done" >/dev/null 2>&1 &')
    await expect.poll(used).toBeGreaterThan(after + 300)
    await driver().stop(sessionId, { graceMs: 0 })
    expect(await used()).toBe(0)
    expect(await driver().usedMs(newSpec().sessionId)).toBe(0)
  })

  it('leaves nothing behind after a removal', async () => {
    const { guest, sessionId } = await start()
    await guest.sh(
      'sleep 1000 >/dev/null 2>&1 & setsid sleep 1000 >/dev/null 2>&1 & echo x > /workspace/x',
    )
    expect(await harness().leftovers(sessionId)).not.toEqual([])
    await guest.close()
    await driver().remove(sessionId)
    expect(await harness().leftovers(sessionId)).toEqual([])
  })
}

export function survivalCases({ harness, start }: Cases): void {
  const driver = () => harness().driver()

  it('goes on when its driver dies, and is found and stopped by the next one', async () => {
    const { guest, sessionId } = await start()
    const before = await statusOf(harness(), sessionId)
    await guest.sh('echo kept > /workspace/kept')
    await harness().crash()
    expect(await statusOf(harness(), sessionId)).toEqual(before)
    expect((await guest.sh('cat /workspace/kept')).stdout).toBe('kept\n')
    await driver().stop(sessionId, { graceMs: 5000 })
    expect(await statusOf(harness(), sessionId)).toMatchObject({
      state: 'stopped',
      exit: { code: 7 },
    })
    await driver().start(sessionId)
    await guest.connected()
    expect((await guest.sh('cat /workspace/kept')).stdout).toBe('kept\n')
  })

  it('tells how it ended while no driver was there', async () => {
    const { guest, sessionId } = await start()
    const dying = guest.disconnected()
    await guest.post('setTimeout(() => process.exit(3), 200)')
    await Promise.all([harness().crash(), dying])
    await expect
      .poll(() => statusOf(harness(), sessionId), { timeout: 20_000 })
      .toMatchObject({ state: 'stopped', exit: { code: 3, outOfMemory: false } })
  })

  it('gives each one its own user ids', async () => {
    const uids = await Promise.all(
      [start(), start()].map(async (sandbox) => {
        return (await (await sandbox).guest.sh("awk '{ print $2 }' /proc/self/uid_map")).stdout
      }),
    )
    expect(new Set(uids).size).toBe(2)
  })
}

export function halfWayCases({ harness }: Cases): void {
  const driver = () => harness().driver()

  it.each([0, 5, 10, 15, 20, 30, 40, 50, 60, 80, 120, 200])(
    'leaves nothing behind when the driver dies %i ms into a start',
    async (ms) => {
      const { sessionId, ...spec } = newSpec()
      const door = join(harness().doorsDir, sessionId)
      await mkdir(door, { recursive: true })
      await driver().create({ sessionId, ...spec })
      const starting = driver()
        .start(sessionId)
        .catch(() => undefined)
      await delay(ms)
      await harness().crash()
      await starting
      await rm(door, { recursive: true })
      await driver().remove(sessionId)
      expect(await harness().leftovers(sessionId)).toEqual([])
    },
  )

  it('starts ten at once', async () => {
    const before = await driver().list()
    const specs = Array.from({ length: 10 }, () => newSpec())
    for (const { sessionId } of specs)
      await mkdir(join(harness().doorsDir, sessionId), { recursive: true })
    await Promise.all(specs.map((spec) => driver().create(spec)))
    await Promise.all(specs.map(({ sessionId }) => driver().start(sessionId)))
    const states = (await driver().list()).map(({ state }) => state)
    expect(states).toEqual([...before, ...specs].map(() => 'running'))
    await Promise.all(specs.map(({ sessionId }) => driver().remove(sessionId)))
    expect(await driver().list()).toEqual(before)
  })
}

export function refusalCases({ harness }: Cases): void {
  const driver = () => harness().driver()
  const refused = (code: string, reason: string) => expect.objectContaining({ code, reason })

  it.each(['', '../../etc', 's_short', 's_AAAAAAAAAAAAAAAAAAAA', `s_${'a'.repeat(20)}/..`])(
    'refuses %j as the id of a session',
    async (sessionId) => {
      const matcher = { code: expect.stringMatching(/invalid|not_found/) }
      await expect(driver().create(newSpec({ sessionId }))).rejects.toMatchObject(matcher)
      await expect(driver().start(sessionId)).rejects.toMatchObject(matcher)
      await expect(driver().remove(sessionId)).rejects.toMatchObject(matcher)
    },
  )

  it('refuses to start what was never created, or has no door', async () => {
    const spec = newSpec()
    await expect(driver().start(spec.sessionId)).rejects.toEqual(
      refused('not_found', 'sandbox_missing'),
    )
    await driver().create(spec)
    onTestFinished(() => driver().remove(spec.sessionId))
    await expect(driver().start(spec.sessionId)).rejects.toEqual(
      refused('unavailable', 'door_missing'),
    )
  })

  it('refuses to create one again with other properties', async () => {
    const spec = newSpec()
    await driver().create(spec)
    onTestFinished(() => driver().remove(spec.sessionId))
    await expect(driver().create({ ...spec, hostname: 'other' })).rejects.toEqual(
      refused('conflict', 'sandbox_differs'),
    )
  })

  it('shows a new session file from the next start on', async () => {
    const spec = newSpec()
    const { guest } = await startSandbox(harness(), spec)
    onTestFinished(() => endSandbox(harness(), { sessionId: spec.sessionId, guest }))
    await driver().create({ ...spec, sessionFile: '{"word":"new"}' })
    const read = async () => (await guest.sh(`cat ${SANDBOX_PATHS.session}`)).stdout
    expect(await read()).toBe(spec.sessionFile)
    await driver().stop(spec.sessionId, { graceMs: 0 })
    await driver().start(spec.sessionId)
    await guest.connected()
    expect(await read()).toBe('{"word":"new"}')
  })

  it('runs what is to run before the runner, which is told of it', async () => {
    const spec = newSpec({ beforeRunner: 'echo before >/run/before; ahead=word\n' })
    const { guest } = await startSandbox(harness(), spec)
    onTestFinished(() => endSandbox(harness(), { sessionId: spec.sessionId, guest }))
    const { stdout } = await guest.sh(`cat /run/before; tr '\\0' ' ' </proc/$PPID/cmdline`)
    expect(stdout).toBe(`before\n${SANDBOX_PATHS.node} ${SANDBOX_PATHS.runner} word `)
  })

  it('refuses images that are missing, elsewhere, or without a GNU C library', async () => {
    const { imagesDir } = harness()
    const create = (path: string) => driver().create(newSpec({ image: { kind: 'rootfs', path } }))
    await expect(create(join(imagesDir, 'none'))).rejects.toEqual(
      refused('not_found', 'image_missing'),
    )
    await expect(create('/etc')).rejects.toEqual(refused('forbidden', 'image_not_allowed'))
    const musl = join(imagesDir, 'musl')
    await mkdir(join(musl, 'lib'), { recursive: true })
    await writeFile(join(musl, 'lib/ld-musl-x86_64.so.1'), 'musl libc (x86_64) Version 1.2.4')
    await expect(create(musl)).rejects.toEqual(refused('unsupported', 'image_libc'))
    expect(await readdir(musl)).toEqual(['lib'])
  })
}
