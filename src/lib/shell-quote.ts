// Text as a shell reads one word of it.

export function shellQuote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`
}

/** In a command that a person is told: as it is where no shell would read it otherwise. */
export function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : shellQuote(text)
}
