// Takes secret values out of text, in the forms that programs write them in: as they are, in base64 (at any of the three places
// in its groups of bytes, plain and for URLs), in base32 as far as it fits into a host name, in hexadecimal, percent-encoded and
// escaped for JSON. Pure. One pass whatever the number of values (Aho and Corasick), and the text may come in pieces.
// What this does not protect against: any other form of a value (reversed, compressed, encrypted, one character a line), and
// values that are shorter than 8 characters, which would take harmless text along.

export interface Redactor {
  /** A whole text. */
  text(text: string): string
  /** All texts within a value of JSON, names of fields too. */
  json(value: unknown): unknown
  /** A host name: whatever its letters' case, and with a value that is spread over several labels, the whole of it then. */
  host(name: string): string
  stream(): RedactedStream
}

/** Text in pieces: what may be the beginning of a value is held back until it is known. */
export interface RedactedStream {
  push(text: string): string
  /** What is still held back. */
  end(): string
}

export const SHORTEST_REDACTED = 8
export const REDACTED = '[redacted]'
/** Of a private key each line counts by itself, since terminals and prefixes take it apart. */
const SHORTEST_LINE = 20
/** In bytes; what is longer fits into no host name in base32. */
const LONGEST_BASE32 = 150
const BASE32_LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'

interface State {
  next: Map<number, State>
  fail: State | undefined
  depth: number
  /** Length of the longest form that ends here. */
  ends: number
}

export function createRedactor(values: readonly string[]): Redactor {
  const forms = new Set(values.flatMap(formsOf))
  const root = build(forms)
  let hostRoot: State | undefined
  const stream = () => createStream(root)
  const text = (whole: string): string => redactWith(root, whole)
  const host = (name: string): string => {
    if (forms.size === 0) return name
    hostRoot ??= build(new Set([...forms].map((form) => form.toLowerCase())))
    const labels = name.toLowerCase()
    const left = redactWith(hostRoot, labels)
    const joined = left.replaceAll('.', '')
    if (redactWith(hostRoot, joined) !== joined) return REDACTED
    return left === labels ? name : left
  }
  const json = (value: unknown): unknown => {
    if (typeof value === 'string') return text(value)
    if (Array.isArray(value)) return value.map(json)
    if (value === null || typeof value !== 'object') return value
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [text(key), json(one)]))
  }
  return { text, json: (value) => (root.next.size === 0 ? value : json(value)), host, stream }
}

function redactWith(root: State, whole: string): string {
  if (root.next.size === 0) return whole
  const one = createStream(root)
  return one.push(whole) + one.end()
}

/** Every text that stands for a value; none for one that is too short. */
export function formsOf(value: string): string[] {
  const trimmed = value.trim()
  if (trimmed.length < SHORTEST_REDACTED) return []
  const bytes = Buffer.from(trimmed, 'utf8')
  const hex = bytes.toString('hex')
  const percent = hex.replace(/../g, '%$&')
  const encoded = encodeURIComponent(trimmed.toWellFormed())
  const strict = encoded.replace(/[!'()*]/g, (one) => `%${one.charCodeAt(0).toString(16)}`)
  const lines = trimmed.split('\n').map((line) => line.trim())
  const forms = [
    trimmed,
    ...(lines.length > 1 ? lines.filter(isTelling) : []),
    ...[0, 1, 2].flatMap((offset) => base64Forms(bytes, offset)),
    ...(bytes.length > LONGEST_BASE32
      ? []
      : [0, 1, 2, 3, 4].flatMap((at) => base32Forms(bytes, at))),
    ...[hex, hex.toUpperCase(), percent, percent.toUpperCase()],
    ...[encoded, strict, strict.toUpperCase() === strict ? [] : upperEscapes(strict)].flat(),
    ...[lowerEscapes(encoded), encoded.replaceAll('%20', '+')],
    JSON.stringify(trimmed).slice(1, -1),
  ]
  return [...new Set(forms)].filter((form) => form.length >= SHORTEST_REDACTED)
}

function isTelling(line: string): boolean {
  return line.length >= SHORTEST_LINE && !line.startsWith('-----')
}

function upperEscapes(text: string): string {
  return text.replace(/%[0-9a-f]{2}/gi, (code) => code.toUpperCase())
}

function lowerEscapes(text: string): string {
  return text.replace(/%[0-9a-f]{2}/gi, (code) => code.toLowerCase())
}

/** What of the base64 is the same whatever stands around the value; `offset` bytes of its group stand before it. */
function base64Forms(bytes: Buffer, offset: number): string[] {
  const padded = Buffer.concat([Buffer.alloc(offset), bytes])
  const whole = Math.floor((padded.length * 8) / 6)
  const text = padded.toString('base64').slice(Math.ceil((offset * 8) / 6), whole)
  return [text, text.replaceAll('+', '-').replaceAll('/', '_')]
}

/** The same of base32, whose groups have five bytes. */
function base32Forms(bytes: Buffer, offset: number): string[] {
  const padded = Buffer.concat([Buffer.alloc(offset), bytes])
  const bits = Array.from(padded, (byte) => byte.toString(2).padStart(8, '0')).join('')
  const groups = (bits.match(/.{5}/g) ?? []).slice(Math.ceil((offset * 8) / 5))
  const text = groups.map((group) => BASE32_LETTERS[Number.parseInt(group, 2)]).join('')
  return [text, text.toLowerCase()]
}

function build(forms: ReadonlySet<string>): State {
  const root: State = { next: new Map(), fail: undefined, depth: 0, ends: 0 }
  for (const form of forms) {
    let state = root
    for (let at = 0; at < form.length; at++) {
      const code = form.charCodeAt(at)
      let next = state.next.get(code)
      if (!next) {
        next = { next: new Map(), fail: root, depth: at + 1, ends: 0 }
        state.next.set(code, next)
      }
      state = next
    }
    state.ends = form.length
  }
  const queue = [...root.next.values()]
  for (const state of queue) {
    for (const [code, next] of state.next) {
      next.fail = step(state.fail ?? root, code, root)
      next.ends = Math.max(next.ends, next.fail.ends)
      queue.push(next)
    }
  }
  return root
}

function step(from: State, code: number, root: State): State {
  let state: State | undefined = from
  while (state) {
    const next = state.next.get(code)
    if (next) return next
    state = state.fail
  }
  return root
}

function createStream(root: State): RedactedStream {
  let state = root
  /** What was neither given out nor dropped yet, and where it begins in all that came. */
  let held = ''
  let heldFrom = 0
  /** Up to here everything is part of a value; the mark for it was given out. */
  let hiddenTo = 0
  /** Found and not given out yet, in order and apart. */
  let found: { from: number; to: number }[] = []

  const note = (from: number, to: number) => {
    const start = Math.max(from, heldFrom)
    let joined = { from: start, to }
    while (found.length > 0 && (found.at(-1)?.to ?? 0) > joined.from) {
      const last = found.pop() ?? joined
      joined = { from: Math.min(last.from, joined.from), to: Math.max(last.to, joined.to) }
    }
    found.push(joined)
  }
  const release = (until: number): string => {
    let out = ''
    let at = heldFrom
    const plain = (to: number) => {
      const from = Math.max(at, hiddenTo)
      if (to > from) out += held.slice(from - heldFrom, to - heldFrom)
      at = Math.max(at, to)
    }
    for (const { from, to } of found) {
      if (from >= until) break
      plain(from)
      // A value that overlaps the one before it is part of the same mark.
      if (from >= hiddenTo) out += REDACTED
      hiddenTo = Math.max(hiddenTo, to)
      at = Math.max(at, Math.min(to, until))
    }
    plain(until)
    found = found.filter(({ to }) => to > until)
    held = held.slice(until - heldFrom)
    heldFrom = until
    return out
  }
  return {
    push: (text) => {
      const begin = heldFrom + held.length
      held += text
      for (let at = 0; at < text.length; at++) {
        state = step(state, text.charCodeAt(at), root)
        if (state.ends > 0) note(begin + at + 1 - state.ends, begin + at + 1)
      }
      return release(heldFrom + held.length - state.depth)
    },
    end: () => {
      state = root
      return release(heldFrom + held.length)
    },
  }
}
