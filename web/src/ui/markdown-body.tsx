// Renders markdown with streamdown: HTML stays text, links are http(s) only and give nothing away, images are never
// loaded. It does not protect against a link whose words lie about where it goes; the address is shown on hover.
import type { ReactNode } from 'react'
import { Streamdown } from 'streamdown'
import { plainText } from './plain-text.ts'

function SafeLink({ href, children }: { href?: string | undefined; children?: ReactNode }) {
  if (!href || !/^https?:\/\//i.test(href)) return <span title={href}>{children}</span>
  return (
    <a href={href} title={href} target="_blank" rel="noopener noreferrer nofollow">
      {children}
    </a>
  )
}

function ImageNamed({ alt, src }: { alt?: string | undefined; src?: unknown }) {
  const address = typeof src === 'string' ? src : ''
  return (
    <span className="text-muted" title={address}>
      [image: {alt || address || 'not loaded'}]
    </span>
  )
}

/** Plain elements, so that the look comes from one style sheet. */
const PLAIN = Object.fromEntries(
  'p h1 h2 h3 h4 h5 h6 ul ol li strong em del blockquote hr table thead tbody tr th td pre code sub sup section inlineCode'
    .split(' ')
    .map((tag) => [tag, tag === 'inlineCode' ? 'code' : tag]),
)
const COMPONENTS = { ...PLAIN, a: SafeLink, img: ImageNamed }

export function MarkdownBody({ text, live }: { text: string; live: boolean }) {
  return (
    <div className="prose">
      <Streamdown
        mode={live ? 'streaming' : 'static'}
        className="block-part"
        components={COMPONENTS as never}
        rehypePlugins={[]}
        controls={false}
        linkSafety={{ enabled: false }}
      >
        {plainText(text)}
      </Streamdown>
    </div>
  )
}
