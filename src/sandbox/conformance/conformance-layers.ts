// What every kind of sandbox has to hold about layers that are kept of one sandbox and given to others.
import { randomBytes } from 'node:crypto'
import { expect, it, onTestFinished } from 'vitest'
import { createId } from '../../protocol/ids.ts'
import { loopDevicesOf } from '../disks/disk-image.ts'
import type { Cases } from './conformance-cases.ts'

const MAKE = `
mkdir -p /opt/made/deep && echo made > /opt/made/tool && echo deep > /opt/made/deep/file
chmod 4755 /opt/made/tool && chown 33:33 /opt/made/deep/file
rm -rf /etc/skel && rm -f /etc/debian_version
echo changed > /etc/issue`
const LOOK = `
cat /opt/made/tool /opt/made/deep/file /etc/issue; stat -c '%u:%g %a' /opt/made /opt/made/tool /opt/made/deep/file
ls -d /etc/skel /etc/debian_version 2>/dev/null`
const SEEN = 'made\ndeep\nchanged\n0:0 755\n0:0 4755\n33:33 644\n'

export function layerCases({ harness, start }: Cases): void {
  const driver = () => harness().driver()
  const newLayerId = () => createId('layer', randomBytes(20))

  const keep = async (script: string) => {
    const { guest, sessionId } = await start()
    await guest.sh(script)
    await driver().stop(sessionId, { graceMs: 1_000 })
    const layerId = newLayerId()
    const { bytes } = await driver().keepLayer(sessionId, layerId)
    expect(bytes).toBeGreaterThan(0)
    await driver().remove(sessionId)
    return layerId
  }

  it('gives what one has written to others, which share it and cannot change it', async () => {
    const layerId = await keep(MAKE)
    const image = { layers: [layerId] }
    const [first, second] = [await start(image), await start(image)]
    expect((await first.guest.sh(LOOK)).stdout).toBe(SEEN)
    const hostile = 'echo evil > /opt/made/tool; echo evil > /opt/made/left; rm -rf /opt/made/deep'
    await first.guest.sh(hostile)
    expect((await second.guest.sh(LOOK)).stdout).toBe(SEEN)
    await driver().stop(first.sessionId, { graceMs: 0 })
    const third = await start(image)
    expect((await third.guest.sh(`${LOOK}; ls /opt/made`)).stdout).toBe(`${SEEN}deep\ntool\n`)
    await driver().start(first.sessionId)
    await first.guest.connected()
    expect((await first.guest.sh('cat /opt/made/tool /opt/made/left')).stdout).toBe('evil\nevil\n')
  })

  it('lists a layer, keeps it over the death of the driver, and removes it once nobody has it', async () => {
    const layerId = await keep('echo x > /opt/x')
    const sandbox = await start({ layers: [layerId] })
    await harness().crash()
    expect(await driver().listLayers()).toContainEqual({ layerId, bytes: expect.any(Number) })
    await expect(driver().removeLayer(layerId)).rejects.toMatchObject({ reason: 'layer_in_use' })
    expect((await sandbox.guest.sh('cat /opt/x')).stdout).toBe('x\n')
    await driver().remove(sandbox.sessionId)
    await driver().removeLayer(layerId)
    await driver().removeLayer(layerId)
    expect((await driver().listLayers()).map((one) => one.layerId)).not.toContain(layerId)
    expect(await loopDevicesOf(`/${layerId}/disk.img`)).toEqual([])
  })

  it('lays one layer over another', async () => {
    const below = await keep('mkdir /opt/two; echo below > /opt/two/a; echo below > /opt/two/b')
    const { guest, sessionId } = await start({ layers: [below] })
    await guest.sh('echo above > /opt/two/b')
    await driver().stop(sessionId, { graceMs: 1_000 })
    const above = newLayerId()
    await driver().keepLayer(sessionId, above)
    await driver().remove(sessionId)
    const both = await start({ layers: [above, below] })
    expect((await both.guest.sh('cat /opt/two/a /opt/two/b')).stdout).toBe('below\nabove\n')
  })

  it('keeps nothing of a sandbox that runs, and of one that is kept already only the same', async () => {
    const { guest, sessionId } = await start()
    await guest.sh('echo x > /opt/x')
    const layerId = newLayerId()
    onTestFinished(() => driver().removeLayer(layerId))
    const running = driver().keepLayer(sessionId, layerId)
    await expect(running).rejects.toMatchObject({ reason: 'sandbox_running' })
    await driver().stop(sessionId, { graceMs: 0 })
    const kept = await driver().keepLayer(sessionId, layerId)
    expect(await driver().keepLayer(sessionId, layerId)).toEqual(kept)
    await driver().remove(sessionId)
    expect(await driver().keepLayer(sessionId, layerId)).toEqual(kept)
  })

  it('refuses a layer that is not there, and ids that are none', async () => {
    await expect(start({ layers: [newLayerId()] })).rejects.toMatchObject({
      reason: 'layer_missing',
    })
    await expect(start({ layers: ['../../etc'] })).rejects.toMatchObject({ code: 'invalid' })
    await expect(driver().removeLayer('l_..')).rejects.toMatchObject({ code: 'invalid' })
  })

  it('tells one image from another', async () => {
    const host = await driver().identify({ kind: 'host' })
    expect(host).toMatch(/^\S+$/)
    expect(await driver().identify({ kind: 'host' })).toBe(host)
  })
}
