// Names made from a prompt: the title of a session and the readable part of its branch. Pure.

const TITLE_LENGTH = 80
const SLUG_LENGTH = 40

/** The first line with text in it, cut at a word. */
export function titleOf(prompt: string): string {
  const line =
    prompt
      .split('\n')
      .map((part) => part.trim())
      .find((part) => part !== '') ?? prompt.trim()
  return cutAtWord(line, TITLE_LENGTH, ' ')
}

/** Lower-case words with dashes between them; `task` when the title has no letter or digit of ASCII. */
export function slugOf(title: string): string {
  const plain = title.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase()
  const slug = plain.replace(/[^a-z0-9]+/g, '-').replace(/^-+|-+$/g, '')
  return cutAtWord(slug, SLUG_LENGTH, '-') || 'task'
}

function cutAtWord(text: string, length: number, separator: string): string {
  if (text.length <= length) return text
  const cut = text.slice(0, length + 1)
  const end = cut.lastIndexOf(separator)
  return end > length / 2 ? cut.slice(0, end) : cut.slice(0, length)
}
