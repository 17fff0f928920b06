// A hook of the repository's settings: its event, how long it took, how it went; opened, what it wrote.
import type { HookItem as Hook } from '../../../src/protocol/timeline.ts'
import { formatDuration } from '../ui/format.ts'
import { Glyph } from '../ui/glyph.tsx'
import { plainText } from '../ui/plain-text.ts'
import { Since } from '../ui/time.tsx'
import { CodeBlock } from './code-block.tsx'
import { Disclosure } from './disclosure.tsx'

const WORDS = { success: 'done', error: 'failed', cancelled: 'stopped' } as const

export function HookItem({ item }: { item: Hook }) {
  return (
    <Disclosure
      id={`hook-${item.seq}`}
      line={
        <>
          <span className="shrink-0 font-medium">Hook</span>
          <span className="min-w-0 truncate text-muted">{plainText(item.name)}</span>
          <span className="ml-auto flex shrink-0 items-center gap-2 pl-2 text-xs text-muted">
            <Outcome item={item} />
          </span>
        </>
      }
    >
      {item.exitCode !== null && item.exitCode !== 0 ? (
        <p className="text-sm text-muted">Exit code {item.exitCode}</p>
      ) : null}
      {item.output === '' ? (
        <p className="text-sm text-muted">
          {item.result === 'running' ? 'It has not ended yet.' : 'It wrote nothing.'}
        </p>
      ) : (
        <CodeBlock text={item.output} keep="end" className="mt-1" />
      )}
    </Disclosure>
  )
}

function Outcome({ item: { result, at, durationMs } }: { item: Hook }) {
  if (result === 'running')
    return (
      <>
        <Since at={at} />
        <Glyph name="half" />
        <span className="sr-only">running</span>
      </>
    )
  const isDone = result === 'success'
  return (
    <>
      {durationMs === null ? null : <span>{formatDuration(durationMs)}</span>}
      {result === 'cancelled' ? <span>{WORDS[result]}</span> : null}
      <Glyph name={isDone ? 'check' : 'cross'} className={isDone ? 'text-ok' : 'text-bad'} />
      {result === 'cancelled' ? null : <span className="sr-only">{WORDS[result]}</span>}
    </>
  )
}
