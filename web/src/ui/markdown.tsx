// Markdown from somebody who is not trusted. The reader of markdown is loaded when it is first needed; until then the
// text stands there as it is.
import { lazy, memo, Suspense } from 'react'

const Body = lazy(() =>
  import('./markdown-body.tsx').then((part) => ({ default: part.MarkdownBody })),
)

/** Read once for each text: what stands around it is drawn anew with every key that somebody presses. */
export const Markdown = memo(({ text, live = false }: { text: string; live?: boolean }) => (
  <Suspense fallback={<div className="prose whitespace-pre-wrap">{text}</div>}>
    <Body text={text} live={live} />
  </Suspense>
))
