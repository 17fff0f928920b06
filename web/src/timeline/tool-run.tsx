// A run of calls that only look around, as one line.
import { formatDuration } from '../ui/format.ts'
import { Glyph } from '../ui/glyph.tsx'
import { Disclosure } from './disclosure.tsx'
import { describeRun, type ToolNode } from './rows.ts'
import { ToolCall } from './tool-item.tsx'

export function ToolRun({ id, nodes, active }: { id: string; nodes: ToolNode[]; active: boolean }) {
  const running = active && nodes.some(({ tool }) => tool.output === null)
  const totalMs = nodes.reduce((sum, { tool }) => sum + (tool.durationMs ?? 0), 0)
  return (
    <Disclosure
      id={`run-${id}`}
      line={
        <>
          <span className="min-w-0 truncate">{describeRun(nodes)}</span>
          <span className="ml-auto flex shrink-0 items-center gap-2 pl-2 text-xs text-muted">
            {totalMs > 0 ? <span>{formatDuration(totalMs)}</span> : null}
            <Glyph name={running ? 'half' : 'check'} className={running ? '' : 'text-ok'} />
            <span className="sr-only">{running ? 'running' : 'done'}</span>
          </span>
        </>
      }
    >
      {nodes.map((node) => (
        <ToolCall key={node.tool.toolUseId} node={node} active={active} />
      ))}
    </Disclosure>
  )
}
