// What is worth stealing is not inside: the owner's model key, the CLI's token, the sealing key, the database, other
// sessions. And the programs that hold it run apart from each other. Real Claude Code and runc; only the model is scripted.
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createSampleRepository } from '../../demo/repository.ts'
import { readConfig } from '../../src/config.ts'
import { KEY_PLACEHOLDER } from '../../src/protocol/network.ts'
import { type Installation, OWNER_KEY, startInstallation } from './installation.ts'
import { createIsland, type Island } from './island.ts'
import { everythingSaid, runInside, searchCommand, toolOutputs } from './transcript.ts'

let island: Island
let errand: Installation
let folder: string
let repository: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'errand-secrets-'))
  repository = join(folder, 'cart')
  await createSampleRepository(repository)
  island = await createIsland()
  errand = await startInstallation({ island })
})
afterAll(async () => {
  await errand?.stop()
  await island?.remove()
  await rm(folder, { recursive: true, force: true })
})

/** A sandbox of its own, in which nothing has happened yet. */
async function sandbox(): Promise<string> {
  const { id } = await errand.start(repository, 'echo ready', { kind: 'command' })
  await errand.finish(id)
  return id
}

interface ProcessFacts {
  pid: string
  command: string
  uid: number
}

async function processes(): Promise<ProcessFacts[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const found = await Promise.all(
    pids.map(async (pid) => {
      const read = (name: string) => readFile(`/proc/${pid}/${name}`, 'utf8').catch(() => '')
      const [command, status] = await Promise.all([read('cmdline'), read('status')])
      const uid = Number(/^Uid:\s+\d+\s+(\d+)/m.exec(status)?.[1])
      return { pid, command: command.replaceAll('\0', ' ').trim(), uid }
    }),
  )
  return found.filter(({ command }) => command !== '')
}

describe('an agent that looks for secrets', () => {
  it('finds a placeholder and nothing else', async () => {
    const before = errand.model.requests.length
    const { id } = await errand.start(repository, 'look for secrets')
    const [environment = '', others = '', disk = ''] = toolOutputs(await errand.finish(id))
    // Claude Code makes a token of its own in each run, for a socket that it opens inside.
    const named = (text: string) =>
      [...new Set(text.match(/^\w*(?:KEY|TOKEN|SECRET|PASSWORD|AUTH)\w*=.*$/gim))].filter(
        (line) => !line.startsWith('CLAUDE_CODE_MESSAGING_TOKEN='),
      )
    const placeholder = `ANTHROPIC_API_KEY=${KEY_PLACEHOLDER}`
    expect(named(environment)).toEqual([placeholder])
    expect(named(others)).toEqual([placeholder])
    expect(disk).toMatch(/== keys\n== end/)

    const sealingKey = await readFile(join(errand.dataDir, 'keys/sealing.key'))
    const secrets = [
      ...[OWNER_KEY, errand.token, new URL(errand.loginUrl).search.slice(-20)],
      ...[sealingKey.toString('hex'), sealingKey.toString('base64').replace(/=+$/, '')],
      basename(errand.dataDir),
    ]
    expect(await runInside(errand, id, searchCommand(secrets))).toBe('searched\n')
    const bytes = [...sealingKey.subarray(0, 8)].map(
      (byte) => `\\x${byte.toString(16).padStart(2, '0')}`,
    )
    const raw = `LC_ALL=C grep -rPa --devices=skip -l '${bytes.join('')}' /etc /home /root /run /srv /tmp /var /workspace; echo searched`
    expect(await runInside(errand, id, raw)).toBe('searched\n')
    const said = await everythingSaid(errand, id)
    for (const secret of secrets) expect(said).not.toContain(secret)

    const asked = errand.model.requests.slice(before)
    expect(asked.length).toBeGreaterThan(3)
    for (const { headers, body } of asked) {
      expect(headers['x-api-key']).toBe(OWNER_KEY)
      expect(JSON.stringify(headers)).not.toContain(KEY_PLACEHOLDER)
      for (const secret of secrets) expect(body).not.toContain(secret)
    }
  })

  it('meets one socket, no other session and no file of the host’s', async () => {
    const [one, two] = await Promise.all([sandbox(), sandbox()])
    const word = 'word-of-the-other-session'
    await runInside(errand, two, `echo ${word} > ~/note; (exec -a ${word} sleep 600) & true`)
    const seen = await runInside(errand, one, searchCommand([word]))
    expect(seen).toBe('searched\n')
    // Claude Code's own are made inside.
    const sockets =
      'find / -path /proc -prune -o -path /tmp/cc-socks -prune -o -type s -print 2>/dev/null'
    const opened = (await runInside(errand, one, sockets)).trim().split('\n')
    expect(opened).toEqual(['/run/errand/door/gateway.sock'])
    const { runtimeDir } = readConfig({ dataDir: errand.dataDir })
    const missing = [errand.dataDir, runtimeDir, folder, '/var/lib/errand', '/var/lib/postgresql']
    const listed = await runInside(
      errand,
      one,
      `ls -d ${missing.join(' ')} 2>/dev/null; ls -A /run/errand /run/errand/door`,
    )
    expect(listed).toBe('/run/errand:\ndoor\n\n/run/errand/door:\ngateway.sock\n')
    const changed = await runInside(
      errand,
      one,
      'touch /run/errand/door/x; rm -f /run/errand/door/gateway.sock; touch /opt/errand/x /usr/x; true',
    )
    expect(changed.match(/Read-only file system/g)).toHaveLength(4)
  })
})

describe('the programs', () => {
  it('run as users of their own, none but sandboxd as root', async () => {
    const { runtimeDir } = readConfig({ dataDir: errand.dataDir })
    const own = (await processes()).filter(({ command }) => command.includes(runtimeDir))
    const uidOf = (pattern: RegExp) => {
      const uids = own.filter(({ command }) => pattern.test(command)).map(({ uid }) => uid)
      expect(uids, String(pattern)).not.toEqual([])
      expect(new Set(uids).size).toBe(1)
      return uids[0]
    }
    const gateway = uidOf(/programs\/gateway\.mjs/)
    const gitd = uidOf(/programs\/gitd\.mjs/)
    const server = uidOf(/programs\/server\.mjs/)
    const postgres = uidOf(/bin\/postgres /)
    expect([gateway, gitd, server, postgres]).not.toContain(0)
    expect(new Set([gateway, gitd, server]).size).toBe(3)
    const root = own.filter(({ uid }) => uid === 0)
    // launch.pl belongs to sandboxd: it starts one sandbox and waits for its end.
    for (const { command } of root)
      expect(command).toMatch(/(programs\/sandboxd\.mjs|src\/sandbox\/oci\/launch\.pl) /)
  })

  it('keep a sandbox’s processes apart from each other and from root', async () => {
    const ids = await Promise.all([sandbox(), sandbox()])
    const uids = await Promise.all(
      ids.map(async (id) => {
        await runInside(errand, id, `(exec -a mark-${id} sleep 600) & true`)
        return (await processes()).find(({ command }) => command.includes(`mark-${id}`))?.uid
      }),
    )
    expect(uids).not.toContain(undefined)
    expect(uids).not.toContain(0)
    expect(uids[0]).not.toBe(uids[1])
  })
})
