// For suites: a server of MCP in one file, which answers where it runs.
export const MCP_SERVER = `
import { createInterface } from 'node:readline'
const answer = (id, result) => console.log(JSON.stringify({ jsonrpc: '2.0', id, result }))
createInterface({ input: process.stdin }).on('line', (line) => {
  const { id, method, params } = JSON.parse(line)
  if (method === 'initialize') {
    const { protocolVersion } = params
    const serverInfo = { name: 'local', version: '1' }
    answer(id, { protocolVersion, capabilities: { tools: {} }, serverInfo })
  } else if (method === 'tools/list')
    answer(id, { tools: [{ name: 'ping', description: 'Answers', inputSchema: { type: 'object' } }] })
  else if (method === 'tools/call')
    answer(id, { content: [{ type: 'text', text: 'pong from the repository in ' + process.cwd() }] })
  else if (id !== undefined) answer(id, {})
})
`
