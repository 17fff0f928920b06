import { describe, expect, it } from 'vitest'
import { checkRequest, type RequestPolicy } from './request-check.ts'

const CLOSED: RequestPolicy = { allowsHost: () => false, allowsModel: () => true }
const plain = {
  model: 'claude-opus-5-5',
  max_tokens: 10,
  messages: [{ role: 'user', content: 'hi' }],
}
const user = (...content: unknown[]) => ({ ...plain, messages: [{ role: 'user', content }] })
const image = (source: unknown) => ({ type: 'image', source })
const url = { type: 'url', url: 'https://files.example/a.png' }

function reasonOf(body: unknown, policy: RequestPolicy = CLOSED): string | undefined {
  return checkRequest(body, policy)?.reason
}

describe('checkRequest', () => {
  it('lets through what Claude Code asks', () => {
    const body = {
      ...plain,
      system: [{ type: 'text', text: 'You are', cache_control: { type: 'ephemeral' } }],
      tools: [
        { name: 'Bash', input_schema: { type: 'object', properties: { type: { const: 'url' } } } },
        { type: 'bash_20250124', name: 'bash' },
        { type: 'text_editor_20250728', name: 'editor' },
        { type: 'custom', name: 'mine', input_schema: {} },
      ],
      messages: [
        {
          role: 'user',
          content: [{ type: 'text', text: 'hi' }, image({ type: 'base64', data: '' })],
        },
        { role: 'system', content: '# Environment', output_config: { effort: 'medium' } },
        {
          role: 'assistant',
          content: [
            { type: 'thinking', thinking: '', signature: 's' },
            {
              type: 'tool_use',
              id: 't',
              name: 'Bash',
              input: { source: url, type: 'mcp_toolset' },
            },
          ],
        },
        {
          role: 'user',
          content: [
            { type: 'tool_result', tool_use_id: 't', content: [{ type: 'text', text: 'ok' }] },
            {
              type: 'document',
              source: { type: 'content', content: [{ type: 'text', text: '' }] },
            },
          ],
        },
      ],
      metadata: { user_id: 'x' },
      thinking: { type: 'adaptive' },
      context_management: { edits: [] },
      output_config: { effort: 'medium' },
      mcp_servers: null,
      safeguards: [{ type: 'dangerous_tool_use', classifier_context: { permission_mode: 'plan' } }],
      stream: true,
    }
    expect(checkRequest(body, CLOSED)).toBeUndefined()
  })

  it.each([
    ['a URL image', user(image(url)), 'url_source_not_allowed'],
    ['a URL document', user({ type: 'document', source: url }), 'url_source_not_allowed'],
    [
      'a URL in a tool result',
      user({ type: 'tool_result', content: [image(url)] }),
      'url_source_not_allowed',
    ],
    [
      'a URL in a document of blocks',
      user({ type: 'document', source: { type: 'content', content: [image(url)] } }),
      'url_source_not_allowed',
    ],
    [
      'a URL as single block',
      user({ type: 'tool_result', content: image(url) }),
      'url_source_not_allowed',
    ],
    ['a URL in the system prompt', { ...plain, system: [image(url)] }, 'url_source_not_allowed'],
    ['a file', user(image({ type: 'file', file_id: 'f' })), 'file_source_not_allowed'],
    ['an upload', user({ type: 'container_upload', file_id: 'f' }), 'file_source_not_allowed'],
    ['an unknown source', user(image({ type: 's3', url: 'x' })), 'source_not_allowed'],
    [
      'a web search',
      { ...plain, tools: [{ type: 'web_search_20250305' }] },
      'server_tool_not_allowed',
    ],
    [
      'a web fetch',
      { ...plain, tools: [{ type: 'web_fetch_20260318' }] },
      'server_tool_not_allowed',
    ],
    [
      'code execution',
      { ...plain, tools: [{ type: 'code_execution_20260521' }] },
      'server_tool_not_allowed',
    ],
    ['an MCP toolset', { ...plain, tools: [{ type: 'mcp_toolset' }] }, 'server_tool_not_allowed'],
    [
      'a single tool that is no list',
      { ...plain, tools: { type: 'mcp_toolset' } },
      'server_tool_not_allowed',
    ],
    [
      'a server tool added later',
      user({
        type: 'tool_addition',
        tool: { type: 'tool_definition', definition: { type: 'web_fetch_20260318' } },
      }),
      'server_tool_not_allowed',
    ],
    [
      'an MCP toolset added by a compaction',
      user({
        type: 'compaction',
        tool_changes: [{ type: 'tool_addition', tool: { type: 'mcp_toolset_reference' } }],
      }),
      'server_tool_not_allowed',
    ],
    ['MCP servers', { ...plain, mcp_servers: [] }, 'mcp_servers_not_allowed'],
    ['a container', { ...plain, container: 'c' }, 'container_not_allowed'],
    ['state of another request', { ...plain, thread: { type: 'create' } }, 'field_not_allowed'],
    ['an unknown safeguard', { ...plain, safeguards: [{ type: 'x' }] }, 'field_not_allowed'],
    ['an unknown field', { ...plain, constructor: 1 }, 'field_not_allowed'],
    [
      'an unknown block',
      user({ type: 'web_fetch_tool_result', content: {} }),
      'content_not_allowed',
    ],
    ['a block without type', user({ text: 'x' }), 'request_invalid'],
    ['no messages', { model: 'm' }, 'request_invalid'],
    ['no object', [], 'request_invalid'],
    ['nothing', undefined, 'request_invalid'],
  ])('refuses %s', (_, body, reason) => {
    expect(reasonOf(body)).toBe(reason)
  })

  it('lets the provider fetch from hosts that the session may reach, and from no other', () => {
    const asked: string[] = []
    const policy: RequestPolicy = {
      ...CLOSED,
      allowsHost: (host) => {
        asked.push(host)
        return host === 'files.example'
      },
    }
    expect(reasonOf(user(image(url)), policy)).toBeUndefined()
    const tricks = ['https://files.example@evil.example/', 'https://evil.example/?files.example']
    for (const trick of [...tricks, 'file:///etc/passwd', 'files.example', 7])
      expect(reasonOf(user(image({ type: 'url', url: trick })), policy)).toBe(
        'url_source_not_allowed',
      )
    expect(asked).toEqual(['files.example', 'evil.example', 'evil.example'])
  })

  it('checks the model and its fallbacks', () => {
    const policy = { ...CLOSED, allowsModel: (model: string) => model === plain.model }
    expect(reasonOf(plain, policy)).toBeUndefined()
    expect(reasonOf({ ...plain, model: 'other' }, policy)).toBe('model_not_allowed')
    expect(reasonOf({ ...plain, fallbacks: [{ model: 'other' }] }, policy)).toBe(
      'model_not_allowed',
    )
    expect(reasonOf({ ...plain, fallbacks: 'default' }, policy)).toBe('model_not_allowed')
  })

  it('refuses content without end instead of following it', () => {
    let content: unknown = 'x'
    for (let i = 0; i < 100; i++) content = [{ type: 'tool_result', content }]
    expect(reasonOf({ ...plain, messages: [{ role: 'user', content }] })).toBe('request_invalid')
  })
})
