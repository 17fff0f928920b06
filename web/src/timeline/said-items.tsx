// What the agent says: text, thinking (folded), and the text that is being written right now.
import { Glyph } from '../ui/glyph.tsx'
import { Markdown } from '../ui/markdown.tsx'
import { plainText } from '../ui/plain-text.ts'
import { Disclosure } from './disclosure.tsx'

export function TextItem({ text }: { text: string }) {
  return (
    <div className="mt-3 mb-2">
      <Markdown text={text} />
    </div>
  )
}

export function LiveText({ text }: { text: string }) {
  return (
    <div className="mt-3 mb-2" aria-busy="true" data-live>
      <Markdown text={text} live />
    </div>
  )
}

export function ThinkingItem({ seq, text }: { seq: number; text: string }) {
  const first = plainText(text).trim().split('\n', 1)[0] ?? ''
  return (
    <Disclosure
      id={`thinking-${seq}`}
      line={
        <>
          <Glyph name="note" className="text-muted" />
          <span className="shrink-0 text-muted">Thought</span>
          <span className="min-w-0 truncate text-muted">{first}</span>
        </>
      }
    >
      <div className="text-muted">
        <Markdown text={text} />
      </div>
    </Disclosure>
  )
}
