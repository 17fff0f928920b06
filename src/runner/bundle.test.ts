import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { BUNDLE_FRAME, compiledPath, loadBundle } from './bundle.ts'

const TEXT =
  'exports.answer = () => 6 * 7; exports.at = bundleUrl; exports.path = require("node:path")'

/** From a path of its own each time: V8 remembers by path what it has compiled in this process. */
async function load({ text = TEXT, compiled }: { text?: string; compiled?: Buffer } = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'errand-bundle-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const path = join(folder, 'bundle.cjs')
  await writeFile(path, `${BUNDLE_FRAME.begin}${text}\n${BUNDLE_FRAME.end}`)
  if (compiled) await writeFile(compiledPath(path), compiled)
  return { path, ...loadBundle<{ answer(): number; at: string; path: object }>(path) }
}

describe('loadBundle', () => {
  it('runs a bundle that was never compiled', async () => {
    const { exports, isCached, path } = await load()
    expect([exports.answer(), exports.at, isCached]).toEqual([42, `file://${path}`, false])
    expect(exports.path).toHaveProperty('join')
  })

  it('takes what was compiled', async () => {
    const { exports, isCached } = await load({ compiled: (await load()).compile() })
    expect([exports.answer(), isCached]).toEqual([42, true])
  })

  it('compiles where V8 refuses what it finds', async () => {
    const compiled = (await load()).compile()
    const ofAnotherSource = (await load({ text: `${TEXT}; exports.more = 1` })).compile()
    const ofAnotherNode = Buffer.from(compiled)
    ofAnotherNode.writeUInt32LE(~ofAnotherNode.readUInt32LE(4) >>> 0, 4)
    const parts = [compiled.subarray(0, 100), Buffer.alloc(0), Buffer.from('?')]
    for (const refused of [ofAnotherSource, ofAnotherNode, ...parts]) {
      const { exports, isCached } = await load({ compiled: refused })
      expect([exports.answer(), isCached]).toEqual([42, false])
    }
  })
})
