// The program that serves downloads in a network namespace of its own: `GET /<bytes>` answers with so many zero bytes.
import { createServer } from 'node:http'

const CHUNK = Buffer.alloc(1 << 20)
const [host = '', port = '80'] = process.argv.slice(2)

const server = createServer((request, response) => {
  let left = Number(request.url?.slice(1))
  response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': left })
  const write = () => {
    while (left > 0) {
      const size = Math.min(left, CHUNK.length)
      left -= size
      if (!response.write(CHUNK.subarray(0, size))) {
        response.once('drain', write)
        return
      }
    }
    response.end()
  }
  write()
})
server.listen(Number(port), host, () => process.stdout.write('ready\n'))
