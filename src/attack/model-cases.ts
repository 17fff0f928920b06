// Attacks on the model door: have the provider reach out, use other parts of its API, bring or get a key, use it up.
import { type AttackCase, inNode } from './attack-case.ts'

/** Asks with a body; the answer as one line. */
const MODEL = `
const model = (change, { path = '/v1/messages', headers = [] } = {}) => {
  const body = JSON.stringify({ model: 'claude-test', max_tokens: 5, messages: [{ role: 'user', content: 'hi' }], ...change })
  return ask(http('POST', '/model' + path, ['Content-Type: application/json', 'Content-Length: ' + Buffer.byteLength(body), ...headers], body))
}
`

export const MODEL_CASES: AttackCase[] = [
  {
    id: 'provider-reaches-out',
    title: 'have the provider fetch, search, run or open something',
    script: ({ deniedHost }) =>
      inNode(`${MODEL}
const content = (block) => ({ messages: [{ role: 'user', content: [block] }] })
const asks = {
  'url source': content({ type: 'image', source: { type: 'url', url: 'https://${deniedHost}/x.png' } }),
  'url in a result': content({ type: 'tool_result', tool_use_id: 't', content: [{ type: 'document', source: { type: 'url', url: 'http://${deniedHost}/' } }] }),
  'file source': content({ type: 'document', source: { type: 'file', file_id: 'file_1' } }),
  'web search': { tools: [{ type: 'web_search_20250305', name: 'web_search' }] },
  'code execution': { tools: [{ type: 'code_execution_20250522', name: 'code_execution' }] },
  'mcp servers': { mcp_servers: [{ type: 'url', url: 'https://${deniedHost}/', name: 'x' }] },
  container: { container: 'c_1' },
}
for (const [way, change] of Object.entries(asks)) say(way, summary(await model(change)))`),
    held: /^400 (url_source|file_source|server_tool|mcp_servers|container)_not_allowed$/,
    broken: /^200\b/,
  },
  {
    id: 'model-paths',
    title: "use other parts of the provider's API with the owner's key",
    script: () =>
      inNode(`${MODEL}
for (const path of ['/v1/files', '/v1/messages/batches', '/v1/organizations/x', '/v1/complete'])
  say(path.slice(1), summary(await model({}, { path })))`),
    held: /^404 model_path_unknown$/,
    broken: /^200\b/,
  },
  {
    id: 'own-key',
    title: 'send a key, a cookie and headers of its own past the door',
    script: () =>
      inNode(`${MODEL}
for (const header of ['Authorization: Bearer mine', 'Cookie: session=mine', 'X-Forwarded-For: mine', 'Anthropic-Workspace: mine']) {
  const answer = await model({}, { headers: [header] })
  say(header.split(':')[0].toLowerCase(), answer.includes('saw mine') ? 'passed on' : answer.includes('saw nothing') ? 'dropped' : summary(answer))
}`),
    held: /^dropped$/,
    broken: /^passed on$/,
    notOnInstallation: 'only the model endpoint sees it',
  },
  {
    id: 'key-in-an-error',
    title: "have the provider repeat the owner's key",
    script: () =>
      inNode(
        `${MODEL}say('error', summary(await model({ metadata: { user_id: 'repeat the key' } })))`,
      ),
    held: /^401 .*\[redacted\]/,
    broken: /^401 .*sk-owner/,
    notOnInstallation: 'the model endpoint would have to take part',
  },
  {
    id: 'model-at-once',
    title: 'ask the model more often at once than a session may',
    script: () =>
      inNode(`${MODEL}
const answers = await Promise.all(Array.from({ length: 24 }, () => model({ metadata: { user_id: 'take your time' } })))
say('requests', summary(answers.find((answer) => !answer.startsWith('HTTP/1.1 200')) ?? answers[0]))`),
    held: /^429 too_many_model_requests$/,
    broken: /^200\b/,
    notOnInstallation: 'it would ask the model for real',
  },
  {
    id: 'model-tokens',
    title: 'ask the model after the tokens of the session are used up',
    script: () => inNode(`${MODEL}say('request', summary(await model({})))`),
    held: /^400 token_limit_reached$/,
    broken: /^200\b/,
    notOnInstallation: 'the tokens of a session would have to be used up',
  },
  {
    id: 'model-cost',
    title: 'ask the model after the session has cost as much as it may',
    script: () => inNode(`${MODEL}say('request', summary(await model({})))`),
    held: /^400 cost_limit_reached$/,
    broken: /^200\b/,
    notOnInstallation: 'the money of a session would have to be used up',
  },
  {
    id: 'model-uncounted-cost',
    title: 'ask the model for what has no price, where the cost of a session has a limit',
    script: () =>
      inNode(`${MODEL}
const priced = 'claude-haiku-4-5'
say('model', summary(await model({ model: 'claude-unpriced' })))
say('fallback', summary(await model({ model: priced, fallbacks: [{ model: 'claude-unpriced' }] })))
say('speed', summary(await model({ model: priced, speed: 'fast' })))`),
    held: /^400 model_price_unknown$/,
    broken: /^200\b/,
    notOnInstallation: 'an installation may have no limit on cost',
  },
  {
    id: 'model-not-allowed',
    title: 'ask a model that is not allowed',
    script: () =>
      inNode(`${MODEL}
say('model', summary(await model({ model: 'claude-other' })))
say('fallback', summary(await model({ fallbacks: [{ model: 'claude-other' }] })))`),
    held: /^400 model_not_allowed$/,
    broken: /^200\b/,
    notOnInstallation: 'an installation may allow all models',
  },
]
