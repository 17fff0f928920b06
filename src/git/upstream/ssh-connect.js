// ProxyCommand of git's ssh: `node ssh-connect.js <proxy url> <host> <port>` joins stdin and stdout to host:port through the
// CONNECT of an HTTP proxy. A program of its own that imports nothing of Errand, since ssh starts it for each connection; no
// TypeScript, for which Node.js would load a compiler first.
// @ts-check
import { request } from 'node:http'

/**
 * @param {URL} proxy
 * @param {string} target
 */
function connect(proxy, target) {
  const outgoing = request({
    host: proxy.hostname,
    port: proxy.port === '' ? 80 : Number(proxy.port),
    method: 'CONNECT',
    path: target,
    headers: { host: target },
  })
  outgoing.on('connect', (response, socket, head) => {
    if (response.statusCode !== 200)
      fail(`Received HTTP code ${response.statusCode} from proxy after CONNECT`)
    if (head.length > 0) process.stdout.write(head)
    socket.on('error', (error) => fail(error.message))
    socket.on('end', () => process.exit(0))
    process.stdin.pipe(socket)
    socket.pipe(process.stdout)
  })
  outgoing.on('response', (response) =>
    fail(`Received HTTP code ${response.statusCode} from proxy after CONNECT`),
  )
  outgoing.on('error', (error) => fail(`Failed to connect to proxy: ${error.message}`))
  outgoing.end()
}

/**
 * @param {string} message
 * @returns {never}
 */
function fail(message) {
  process.stderr.write(`${message}\n`)
  process.exit(1)
}

const [proxyUrl = '', host = '', port = ''] = process.argv.slice(2)
connect(new URL(proxyUrl), `${host}:${port}`)
