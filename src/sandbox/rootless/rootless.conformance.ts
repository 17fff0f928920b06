// The conformance suite against the real sandboxd as an ordinary user, who is made for it and has three ranges of
// subordinate ids; and what only such a user meets. Run as root, which can make users.
import { existsSync } from 'node:fs'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { runChecked } from '../../lib/process.ts'
import {
  type ConformanceHarness,
  endSandbox,
  newSpec,
  startSandbox,
  statusOf,
} from '../conformance/conformance-cases.ts'
import { CACHE, openHarness } from '../conformance/conformance-sandboxd.ts'
import { createUser, hasDelegation, type OrdinaryUser } from '../conformance/conformance-user.ts'
import { runSandboxConformance } from '../conformance/sandbox-conformance.ts'
import { RANGE_SIZE } from '../oci/id-ranges.ts'
import { limitsRefusal, readDelegation } from './rootless-limits.ts'

/** Made by oci.conformance.ts. */
const ROOTFS = join(CACHE, 'rootfs')
const MIB = 1 << 20

let user: OrdinaryUser

beforeAll(async () => {
  user = await createUser({ ranges: 3 })
})
afterAll(() => user.remove())

const isLimited = await hasDelegation()
const allowUnlimited = !isLimited

runSandboxConformance('rootless', () => openHarness({ allowUnlimited }, user), {
  ...(isLimited ? {} : { controlGroups: 'they are not delegated to users' }),
  disk: 'it is looked at every few seconds',
})

describe('rootless', () => {
  let harness: ConformanceHarness
  beforeAll(async () => {
    harness = await openHarness({ allowUnlimited }, user)
  })
  afterAll(() => harness.close())

  it('says what it does not hold', async () => {
    const report = await harness.driver().isolation()
    expect(report.line).toBe('container: runc, rootless, own user namespace, seccomp')
    expect(report.isLimited).toBe(isLimited)
    const doesNotHold = report.doesNotHold.join('\n')
    expect(doesNotHold).toMatch(/only 3 sandboxes have user ids of its own/)
    const unlimited = 'memory, processor time and processes are not limited'
    expect(doesNotHold.includes(unlimited)).toBe(!isLimited)
  })

  it('maps root inside to a subordinate id, and knows nobody else', async () => {
    const sandbox = await startSandbox(harness, newSpec())
    onTestFinished(() => endSandbox(harness, sandbox))
    const status = await statusOf(harness, sandbox.sessionId)
    const text = await readFile(`/proc/${status?.pid}/uid_map`, 'utf8')
    expect(text.trim().split(/\s+/)).toEqual(['0', String(user.firstId), String(RANGE_SIZE)])
    const { stdout } = await sandbox.guest.sh(
      'touch /workspace/x && stat -c %u /workspace/x /usr /etc',
    )
    expect(stdout).toBe('0\n65534\n0\n')
  })

  it('shares a range where there are more sandboxes than ranges', async () => {
    const made = await Promise.all(
      Array.from({ length: 4 }, () => startSandbox(harness, newSpec())),
    )
    onTestFinished(async () => {
      await Promise.all(made.map((sandbox) => endSandbox(harness, sandbox)))
    })
    const maps = await Promise.all(
      made.map(async ({ sessionId }) => {
        const status = await statusOf(harness, sessionId)
        return await readFile(`/proc/${status?.pid}/uid_map`, 'utf8')
      }),
    )
    expect(new Set(maps).size).toBe(3)
  })

  it('ends a sandbox whose files take more than they may', async () => {
    const limits = { memoryBytes: 256 * MIB, cpus: 1, processes: 64, diskBytes: 64 * MIB }
    const sandbox = await startSandbox(harness, newSpec({ limits }))
    onTestFinished(() => endSandbox(harness, sandbox))
    const gone = sandbox.guest.disconnected()
    await sandbox.guest.post(
      `await (await import('node:fs/promises')).writeFile('/workspace/big', Buffer.alloc(${100 * MIB}))`,
    )
    await gone
    await expect
      .poll(() => statusOf(harness, sandbox.sessionId), { timeout: 20_000 })
      .toMatchObject({ state: 'stopped', exit: { signal: 'SIGKILL', outOfDisk: true } })
  })

  it.skipIf(!existsSync(ROOTFS))(
    'runs a root file system, but not one that it cannot read',
    async () => {
      const foreign = newSpec({ image: { kind: 'rootfs', path: ROOTFS } })
      await expect(harness.driver().create(foreign)).rejects.toMatchObject({
        reason: 'image_unreadable',
      })
      await harness.driver().remove(foreign.sessionId)
      const path = join(harness.imagesDir, 'own')
      await runChecked('cp', ['-a', ROOTFS, path])
      await runChecked('chown', ['-hR', `${user.uid}:${user.gid}`, path])
      const sandbox = await startSandbox(harness, newSpec({ image: { kind: 'rootfs', path } }))
      onTestFinished(() => endSandbox(harness, sandbox))
      const { stdout } = await sandbox.guest.sh(
        'stat -c %u /usr/bin/dpkg; rm /etc/debian_version && echo removed',
      )
      expect(stdout).toBe('0\nremoved\n')
    },
  )
})

describe('rootless refusals', () => {
  const refused = (reason: string) => expect.objectContaining({ code: 'unsupported', reason })

  it('starts nothing without limits unless told to', async () => {
    const stranger = await createUser({ hasLoggedIn: false })
    onTestFinished(stranger.remove)
    const expected = limitsRefusal(await readDelegation(stranger.uid))
    const harness = await openHarness({}, stranger)
    onTestFinished(() => harness.close())
    await expect(harness.driver().create(newSpec())).rejects.toEqual(refused('limits_unavailable'))
    expect((await harness.driver().isolation()).doesNotHold).toEqual([expected?.message])
  })

  it.skipIf(!isLimited)('names the limit that was not delegated, and what mends it', async () => {
    const folder = `/run/systemd/system/user@${user.uid}.service.d`
    const logInAgain = async () => {
      await runChecked('systemctl', ['daemon-reload'])
      await runChecked('systemctl', ['restart', `user@${user.uid}.service`])
    }
    onTestFinished(async () => {
      await rm(folder, { recursive: true })
      await logInAgain()
    })
    await mkdir(folder)
    await writeFile(join(folder, 'less.conf'), '[Service]\nDelegate=\nDelegate=memory pids\n')
    await logInAgain()
    const message = limitsRefusal(await readDelegation(user.uid))?.message
    expect(message).toMatch(/^No limit of processor time can be set/)
    const harness = await openHarness({}, user)
    onTestFinished(() => harness.close())
    expect((await harness.driver().isolation()).doesNotHold).toEqual([message])
  })

  it('says what a user without subordinate ids lacks', async () => {
    const poor = await createUser({ ranges: 0 })
    onTestFinished(poor.remove)
    const harness = await openHarness({ allowUnlimited: true }, poor)
    onTestFinished(() => harness.close())
    const spec = newSpec()
    await mkdir(join(harness.doorsDir, spec.sessionId), { recursive: true })
    await expect(harness.driver().create(spec)).rejects.toEqual(
      refused('rootless_no_subordinate_ids'),
    )
    const [message] = (await harness.driver().isolation()).doesNotHold
    expect(message).toMatch(/sudo usermod --add-subuids \d+-\d+ --add-subgids \d+-\d+ errand-t/)
  })
})
