// Markdown from somebody who is not trusted. The reader of markdown is loaded when it is first needed; until then the
// text stands there as it is.
import { lazy, Suspense } from 'react'

const Body = lazy(() =>
  import('./markdown-body.tsx').then((part) => ({ default: part.MarkdownBody })),
)

export function Markdown({ text, live = false }: { text: string; live?: boolean }) {
  return (
    <Suspense fallback={<div className="prose whitespace-pre-wrap">{text}</div>}>
      <Body text={text} live={live} />
    </Suspense>
  )
}
