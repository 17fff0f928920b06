// What a tool call shows when it is opened: the command and its output, the lines changed, or the input as it was sent.
import type { ToolItem } from '../../../src/protocol/timeline.ts'
import { Glyph } from '../ui/glyph.tsx'
import { plainText } from '../ui/plain-text.ts'
import { CodeBlock } from './code-block.tsx'
import { changedSpan, edits, textOf, toolInput } from './tool-summary.ts'

const EDITS = new Set(['Edit', 'MultiEdit', 'Write', 'NotebookEdit'])

export function ToolDetail({ tool }: { tool: ToolItem }) {
  return (
    <div className="flex flex-col gap-2">
      <Asked tool={tool} />
      {tool.output === null || (EDITS.has(tool.name) && !tool.isError) ? null : tool.output ===
        '' ? (
        <p className="text-xs text-muted">No output.</p>
      ) : (
        <CodeBlock
          text={tool.output}
          keep={tool.name === 'Bash' ? 'end' : 'start'}
          {...(tool.isError && tool.name !== 'Bash' ? { tone: 'bad' as const } : {})}
        />
      )}
    </div>
  )
}

function Asked({ tool }: { tool: ToolItem }) {
  const input = toolInput(tool)
  if (tool.name === 'Bash')
    return <CodeBlock text={textOf(input, 'command')} className="font-medium" />
  if (EDITS.has(tool.name))
    return (
      <>
        <p className="code-text text-muted">
          {plainText(textOf(input, 'file_path', 'notebook_path'))}
        </p>
        {edits(tool).map((edit, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: the edits of a call never change their order
          <ChangedLines key={index} before={edit.before} after={edit.after} />
        ))}
      </>
    )
  if (tool.name === 'TodoWrite') return <Todos input={input} />
  return <CodeBlock text={JSON.stringify(tool.input, null, 2) ?? ''} />
}

function ChangedLines({ before, after }: { before: string; after: string }) {
  const { removed, added } = changedSpan(before, after)
  const text = [...removed.map((line) => `- ${line}`), ...added.map((line) => `+ ${line}`)]
  const shown = text.slice(0, 80)
  return (
    <pre className="code-text overflow-x-auto rounded-control bg-surface px-3 py-2">
      {shown.map((line, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: lines of a finished edit never move
        <span key={index} className={`block ${line.startsWith('+') ? 'text-add' : 'text-del'}`}>
          {plainText(line)}
        </span>
      ))}
      {text.length > shown.length ? (
        <span className="block text-muted">… {text.length - shown.length} lines more</span>
      ) : null}
    </pre>
  )
}

function Todos({ input }: { input: Record<string, unknown> }) {
  const todos = Array.isArray(input.todos)
    ? input.todos.map((todo) => toolInput({ input: todo }))
    : []
  return (
    <ul className="flex flex-col gap-1 text-sm">
      {todos.map((todo, index) => {
        const status = textOf(todo, 'status')
        const glyph = status === 'completed' ? 'check' : status === 'in_progress' ? 'half' : 'ring'
        return (
          // biome-ignore lint/suspicious/noArrayIndexKey: a finished list never moves
          <li key={index} className="flex gap-2">
            <Glyph name={glyph} className="mt-0.5 text-muted" />
            <span className={status === 'completed' ? 'text-muted' : undefined}>
              {plainText(textOf(todo, 'content'))}
            </span>
          </li>
        )
      })}
    </ul>
  )
}
