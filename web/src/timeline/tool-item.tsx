// A tool call: one line until opened. A subagent's own calls stand inside it.
import type { ToolItem } from '../../../src/protocol/timeline.ts'
import { Counts } from '../ui/counts.tsx'
import { formatDuration, plural } from '../ui/format.ts'
import { Glyph } from '../ui/glyph.tsx'
import { Since } from '../ui/time.tsx'
import { Disclosure } from './disclosure.tsx'
import type { ToolNode } from './rows.ts'
import { ToolDetail } from './tool-detail.tsx'
import { summarize } from './tool-summary.ts'

export function ToolCall({ node, active }: { node: ToolNode; active: boolean }) {
  const { tool, children } = node
  const { word, object, mono, counts } = summarize(tool)
  return (
    <Disclosure
      id={`tool-${tool.seq}`}
      line={
        <>
          <span className="shrink-0 font-medium">{word}</span>
          <span className={`min-w-0 truncate text-muted ${mono ? 'code-text' : ''}`}>{object}</span>
          <span className="ml-auto flex shrink-0 items-center gap-2 pl-2 text-xs text-muted">
            {counts ? <Counts {...counts} /> : null}
            {children.length > 0 ? <span>{plural(children.length, 'call')}</span> : null}
            <Outcome tool={tool} active={active} />
          </span>
        </>
      }
    >
      <ToolDetail tool={tool} />
      {children.map((child) => (
        <ToolCall key={child.tool.toolUseId} node={child} active={active} />
      ))}
    </Disclosure>
  )
}

/** Duration, and how it went in a shape with a word for those who do not see it. */
function Outcome({ tool, active }: { tool: ToolItem; active: boolean }) {
  if (tool.output === null)
    return active ? (
      <>
        <Since at={tool.at} />
        <Glyph name="half" />
        <span className="sr-only">running</span>
      </>
    ) : (
      <span>no result</span>
    )
  return (
    <>
      {tool.durationMs === null ? null : <span>{formatDuration(tool.durationMs)}</span>}
      <Glyph
        name={tool.isError ? 'cross' : 'check'}
        className={tool.isError ? 'text-bad' : 'text-ok'}
      />
      <span className="sr-only">{tool.isError ? 'failed' : 'done'}</span>
    </>
  )
}
