// Newline-delimited JSON framing with a cap on the size of one line. Knows no schema: callers parse what they get.

export class LineTooLongError extends Error {
  constructor(maxBytes: number) {
    super(`a line exceeded ${maxBytes} bytes`)
    this.name = 'LineTooLongError'
  }
}

export function encodeLine(value: unknown): string {
  return `${JSON.stringify(value)}\n`
}

/** Splits chunks into lines (without the newline). Throws LineTooLongError when a line outgrows `maxBytes`. */
export function createLineSplitter(maxBytes: number): (chunk: Buffer) => string[] {
  let parts: Buffer[] = []
  let held = 0
  return (chunk) => {
    const lines: string[] = []
    let start = 0
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, start)) {
      parts.push(chunk.subarray(start, end))
      if (held + end - start > maxBytes) throw new LineTooLongError(maxBytes)
      lines.push(Buffer.concat(parts).toString('utf8'))
      parts = []
      held = 0
      start = end + 1
    }
    const rest = chunk.subarray(start)
    held += rest.length
    if (held > maxBytes) throw new LineTooLongError(maxBytes)
    if (rest.length > 0) parts.push(rest)
    return lines
  }
}
