// Renders markdown with streamdown: HTML stays text, links are http(s) only and give nothing away, images are never
// loaded. It does not protect against a link whose words lie about where it goes; the address is shown on hover.
import type { ComponentType, ReactNode } from 'react'
import { Streamdown, type StreamdownProps } from 'streamdown'
import { plainText } from './plain-text.ts'

interface LinkProps {
  href?: string | undefined
  children?: ReactNode
}

function SafeLink({ href, children }: LinkProps) {
  if (!href || !/^https?:\/\//i.test(href)) return <span title={href}>{children}</span>
  return (
    <a href={href} title={href} target="_blank" rel="noopener noreferrer nofollow">
      {children}
    </a>
  )
}

interface ImageProps {
  alt?: string | undefined
  src?: unknown
}

function ImageNamed({ alt, src }: ImageProps) {
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

/** What keeps text from doing more than to be read. */
interface Policy {
  link: ComponentType<LinkProps> | 'a'
  image: ComponentType<ImageProps> | 'img'
  /** What becomes of HTML: without plugins it stays text. */
  html: StreamdownProps['rehypePlugins']
}

const POLICY: Policy = { link: SafeLink, image: ImageNamed, html: [] }

export function createMarkdownBody({ link, image, html }: Policy) {
  const components = { ...PLAIN, a: link, img: image }
  return function Body({ text, live }: { text: string; live: boolean }) {
    return (
      <div className="prose">
        <Streamdown
          mode={live ? 'streaming' : 'static'}
          className="block-part"
          components={components as never}
          rehypePlugins={html}
          controls={false}
          linkSafety={{ enabled: false }}
        >
          {plainText(text)}
        </Streamdown>
      </div>
    )
  }
}

export const MarkdownBody = createMarkdownBody(POLICY)
