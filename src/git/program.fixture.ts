// For conformance suites: gitd without the egress proxy of the real program, so that it reaches an upstream on loopback and
// can be killed. Says `ready` on stdout.
import { randomBytes } from 'node:crypto'
import { createLogger } from '../lib/logger.ts'
import { createGitServer } from './control.ts'
import { createRepositories } from './repositories.ts'

process.umask(0o077)
const [dataDir = '', socketPath = '', path = ''] = process.argv.slice(2)
const log = createLogger('gitd', 'error')
const repositories = await createRepositories(
  { dataDir, path, network: { nodePath: process.execPath } },
  { log, nowMs: Date.now, randomBytes },
)
createGitServer({ repositories, log }).listen(socketPath, () => process.stdout.write('ready\n'))
