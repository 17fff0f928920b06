// The conformance suite against the real sandboxd with runc, as root; and what only the oci driver has: root file systems.
import { randomBytes } from 'node:crypto'
import { mkdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { runChecked } from '../../lib/process.ts'
import { createId } from '../../protocol/ids.ts'
import {
  type ConformanceHarness,
  endSandbox,
  newSpec,
  startSandbox,
} from '../conformance/conformance-cases.ts'
import { CACHE, openHarness } from '../conformance/conformance-sandboxd.ts'
import { runSandboxConformance } from '../conformance/sandbox-conformance.ts'
import { exists } from '../files.ts'
import type { SandboxSpec } from '../spec.ts'

runSandboxConformance('oci', () => openHarness({ ownerShift: 'auto' }))

describe.each(['auto', 'copy'] as const)(
  'oci on a root file system, owners by %s',
  (ownerShift) => {
    let harness: ConformanceHarness
    let path: string
    beforeAll(async () => {
      harness = await openHarness({ ownerShift })
      path = await makeRootfs()
    }, 240_000)
    afterAll(() => harness.close())

    const start = async (change: Partial<SandboxSpec> = {}) => {
      const limits = { memoryBytes: 1 << 30, cpus: 2, processes: 256, diskBytes: 1 << 30 }
      const sandbox = await startSandbox(
        harness,
        newSpec({ image: { kind: 'rootfs', path }, limits, ...change }),
      )
      onTestFinished(() => endSandbox(harness, sandbox))
      return sandbox
    }

    it('lets root own everything and install packages', async () => {
      const { guest } = await start()
      const strange = await guest.sh(
        'find / -xdev -uid 65534 -not -path "/proc*" -not -path "/sys*" -not -path "/opt/errand*"',
      )
      expect(strange.stdout).toBe('')
      const { stdout, stderr } = await guest.sh(INSTALL)
      expect(stderr).not.toContain('E:')
      expect(stdout.trimEnd().split('\n').at(-1)).toBe('installed')
      expect(
        (await guest.sh('rm /etc/debian_version && ls -ld /usr/bin/su | cut -c1-10')).stdout,
      ).toBe('-rwsr-xr-x\n')
    })

    it('never writes to the image', async () => {
      const before = await runChecked('find', [path, '-printf', '%p %U %m %s %T@\n'], {
        maxOutputBytes: 32 << 20,
      })
      const { guest } = await start()
      await guest.sh('echo changed > /etc/debian_version; touch /usr/bin/new; chown -R 5:5 /home')
      expect(await exists(join(path, 'usr/bin/new'))).toBe(false)
      const after = await runChecked('find', [path, '-printf', '%p %U %m %s %T@\n'], {
        maxOutputBytes: 32 << 20,
      })
      expect(after).toBe(before)
    })

    it('lays a kept layer over it, whose files root owns', async () => {
      const { guest, sessionId } = await start()
      await guest.sh(`${INSTALL}; rm /etc/debian_version`)
      await harness.driver().stop(sessionId, { graceMs: 1_000 })
      const layerId = createId('layer', randomBytes(20))
      await harness.driver().keepLayer(sessionId, layerId)
      await harness.driver().remove(sessionId)
      const other = await start({ layers: [layerId] })
      const look = 'cat /usr/share/tiny/said; dpkg -s tiny | grep ^Status; ls /etc/debian_version'
      expect((await other.guest.sh(look)).stdout).toBe('installed\nStatus: install ok installed\n')
      expect((await other.guest.sh('stat -c %u /usr/share/tiny/said /usr')).stdout).toBe('0\n0\n')
    })

    it('removes one without a trace', async () => {
      const { sessionId, guest } = await start()
      await guest.close()
      await harness.driver().remove(sessionId)
      expect(await harness.leftovers(sessionId)).toEqual([])
    })
  },
)

const INSTALL = `
mkdir -p /tmp/p/DEBIAN /tmp/p/usr/share/tiny
echo installed > /tmp/p/usr/share/tiny/said
printf 'Package: tiny\\nVersion: 1\\nArchitecture: all\\nMaintainer: t <t@example.org>\\nDescription: t\\n' > /tmp/p/DEBIAN/control
dpkg-deb -b /tmp/p /tmp/tiny.deb
apt-get install -y /tmp/tiny.deb
cat /usr/share/tiny/said`

async function makeRootfs(): Promise<string> {
  const path = join(CACHE, 'rootfs')
  if (await exists(path)) return path
  await mkdir(CACHE, { recursive: true })
  const unfinished = `${path}.new`
  await rm(unfinished, { recursive: true, force: true })
  const codename = /^VERSION_CODENAME=(\w+)$/m.exec(await readFile('/etc/os-release', 'utf8'))?.[1]
  await runChecked('mmdebstrap', ['--variant=minbase', codename ?? 'stable', unfinished])
  await runChecked('mv', [unfinished, path])
  return path
}
