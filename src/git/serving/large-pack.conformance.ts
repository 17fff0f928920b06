// A large pack goes through the door, gitd and back in constant memory. 256 MB unless ERRAND_LARGE_PACK_MB says otherwise (up
// to 1000: a push may bring 1 GiB). Client and server programs of git are other processes; gitd's and the door's code is in this one.
import { randomFillSync } from 'node:crypto'
import { open, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { BRANCH, createScene, OWNER, type Scene } from '../room.fixture.ts'

const MEGABYTE = 1 << 20
// biome-ignore lint/style/noProcessEnv: how much this test moves is for who runs it to say
const SIZE_MB = Number(process.env.ERRAND_LARGE_PACK_MB ?? 256)
/** Pieces on their way, and what the collector has not taken yet. */
const MOST_GROWTH_MB = 160

let scene: Scene

beforeEach(async () => {
  scene = await createScene()
})

afterEach(async () => {
  await scene.close()
})

it('takes and gives a large pack in constant memory', async () => {
  const { room, upstream } = scene
  const { workbench, client } = room
  const { uploadId } = await client.createUpload(OWNER)
  await workbench.git(upstream.checkout, [
    'push',
    '-q',
    room.door(uploadId),
    'HEAD:refs/heads/main',
  ])
  const source = { kind: 'upload' as const, uploadId }
  const { sessionId, clone } = await scene.start({ request: { source } })
  await writeNoise(join(clone, 'noise.bin'), SIZE_MB)
  // The time goes into moving bytes, not into packing what cannot be packed.
  const settings = ['-c', 'core.compression=0', '-c', 'core.bigFileThreshold=1m']
  await workbench.git(clone, [...settings, 'add', 'noise.bin'])
  await workbench.git(clone, [...settings, 'commit', '--quiet', '-m', 'noise'])

  const memory = watchMemory()
  const pushed = await workbench.run(clone, [...settings, 'push', '--quiet', 'origin', BRANCH])
  expect(pushed.exitCode, pushed.stderr).toBe(0)
  const back = join(room.root, 'back.git')
  const url = room.door(sessionId)
  const branch = `--branch=${BRANCH}`
  await workbench.git(room.root, [...settings, 'clone', '--quiet', '--bare', branch, url, back])
  expect(memory.growthMb(), `${SIZE_MB} MB both ways`).toBeLessThan(MOST_GROWTH_MB)
  const size = await workbench.git(back, ['cat-file', '-s', `${BRANCH}:noise.bin`])
  expect(Number(size)).toBe((await stat(join(clone, 'noise.bin'))).size)
}, 300_000)

async function writeNoise(path: string, megabytes: number): Promise<void> {
  const piece = Buffer.alloc(MEGABYTE)
  const file = await open(path, 'w')
  for (let written = 0; written < megabytes; written++) await file.write(randomFillSync(piece))
  await file.close()
}

/** Of this process, above what it has now: looked at ten times a second. */
function watchMemory() {
  const before = process.memoryUsage.rss()
  let most = before
  const look = () => {
    most = Math.max(most, process.memoryUsage.rss())
  }
  const timer = setInterval(look, 100)
  return {
    growthMb: () => {
      clearInterval(timer)
      look()
      return Math.round((most - before) / MEGABYTE)
    },
  }
}
