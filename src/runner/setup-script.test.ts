import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { createSilentLogger } from '../lib/logger.ts'
import type { RunnerReport } from '../protocol/runner-frames.ts'
import { runSetup } from './setup-script.ts'

/** Runs a script that shows its one input, with a door whose gateway answers so, one time after the other. */
async function runWith(...answers: ((response: ServerResponse) => void)[]) {
  const top = await mkdtemp(join(tmpdir(), 'errand-setup-'))
  const doorSocket = join(top, 'door.sock')
  const listen = async (left: typeof answers) => {
    const door = createServer((_request, response) => {
      const [answer = give, ...others] = left
      // A gateway that is started again makes its socket anew.
      door.close(() => void listen(others))
      answer(response)
      response.once('close', () => door.closeAllConnections())
    })
    doors.push(door)
    door.listen(doorSocket)
    await once(door, 'listening')
  }
  const doors: ReturnType<typeof createServer>[] = []
  onTestFinished(async () => {
    for (const door of doors) door.removeAllListeners('close').close()
    await rm(top, { recursive: true, force: true })
  })
  await listen(answers)
  const reports: RunnerReport[] = []
  await runSetup(
    {
      assignment: { kind: 'setup', script: 'cat tool/version', limitMs: 50_000 },
      generation: 1,
      place: { doorSocket, setupFolder: join(top, 'setup') },
      variables: { PATH: '/usr/bin:/bin', HOME: top },
      report: (report) => reports.push(report),
      log: createSilentLogger(),
    },
    new AbortController().signal,
  )
  const said = reports.flatMap((one) => (one.type === 'phase.logged' ? one.lines : []))
  return { said, ended: reports.find((one) => one.type === 'setup.ended')?.exitCode }
}

const give = (response: ServerResponse) => {
  const files = [{ path: 'tool/version', data: Buffer.from('seven\n').toString('base64') }]
  response.end(JSON.stringify({ files }))
}
const refuse = (status: number) => (response: ServerResponse) => {
  response.writeHead(status).end('{}')
}

it('is given its files by a gateway that was started again just then', async () => {
  const hangUp = (response: ServerResponse) => response.destroy()
  const hangUpHalfWay = (response: ServerResponse) => {
    response.write('{"files":[')
    setImmediate(() => response.destroy())
  }
  const given = await runWith(hangUp, hangUpHalfWay, refuse(503))
  expect(given).toEqual({ said: ['seven'], ended: 0 })
})

it('fails when its files are refused', async () => {
  const { said, ended } = await runWith(refuse(404))
  expect(said).toEqual(['The inputs of the setup script were refused (404).'])
  expect(ended).toBe(126)
})
