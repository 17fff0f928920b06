// A program that the suite runs as an ordinary user of the machine: the driver of sandboxes as that user has it, on a unix
// socket. The host name of a sandbox says of which case it is, and whether with its control or without it.
import { readFileSync } from 'node:fs'
import { createSilentLogger } from '../../src/lib/logger.ts'
import { createOciDriver } from '../../src/sandbox/oci/oci.ts'
import { ociConfig } from '../../src/sandbox/oci/oci-config.ts'
import { createSandboxServer } from '../../src/sandbox/server.ts'
import { ISOLATION_SWITCHES } from './isolation-switches.ts'
import type { RootlessSettings } from './ordinary-user.ts'

const read = (path: string) => JSON.parse(readFileSync(path, 'utf8'))
const { config, socketPath, canariesFile }: RootlessSettings = read(process.argv[2] ?? '')
// Sandboxes have to read and pass through what is made for them.
process.umask(0o022)
const driver = await createOciDriver(
  config,
  (what, error) => process.stderr.write(`${what}: ${String(error)}\n`),
  (input) => {
    const made = ociConfig(input)
    const [, side, id = ''] = /^(with|without)-(.+)$/.exec(input.spec.hostname) ?? []
    const leftOut = ISOLATION_SWITCHES[id]
    if (!leftOut) return made
    const canaries = read(canariesFile)
    const both = leftOut.both?.(canaries)(made, input) ?? made
    return side === 'with' ? both : leftOut.off(canaries)(both, input)
  },
)
const server = createSandboxServer(driver, createSilentLogger())
server.listen(socketPath, () => process.send?.('ready'))
