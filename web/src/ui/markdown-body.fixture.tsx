// Markdown without what keeps it harmless, for the attack suite, which builds the page with it: HTML becomes elements, images are
// loaded.
import { defaultRehypePlugins } from 'streamdown'
import { createMarkdownBody } from './markdown-body.tsx'

export const MarkdownBody = createMarkdownBody({
  link: 'a',
  image: 'img',
  html: defaultRehypePlugins.raw ? [defaultRehypePlugins.raw] : [],
})
