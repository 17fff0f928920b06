// Makes text from a sandbox harmless to look at: terminal escapes are dropped, and characters that reorder or hide
// text are shown. It does not judge what the text says.

// biome-ignore lint/suspicious/noControlCharactersInRegex: operating system commands (titles, links, clipboard)
const SYSTEM_COMMANDS = /\u001b\][^\u0007\u001b]{0,4096}(?:\u0007|\u001b\\)?/g
// biome-ignore lint/suspicious/noControlCharactersInRegex: device control and private strings
const DEVICE_STRINGS = /\u001b[PX^_][^\u001b]{0,4096}(?:\u001b\\)?/g
// biome-ignore lint/suspicious/noControlCharactersInRegex: colours, cursor moves, and every other escape
const ESCAPES = /(?:\u001b\[|\u009b)[0-?]{0,64}[ -/]{0,8}[@-~]?|\u001b[ -/]{0,8}[0-~]?/g
// biome-ignore lint/suspicious/noControlCharactersInRegex: everything but tab and newline
const CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g
/** Marks, overrides and isolates of direction; separators; what cannot be seen, tags among it. As the command line has it. */
const HIDDEN =
  /[\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu

export function plainText(text: string): string {
  const visible = text
    .replace(SYSTEM_COMMANDS, '')
    .replace(DEVICE_STRINGS, '')
    .replace(ESCAPES, '')
    .replaceAll('\r\n', '\n')
  // A lone carriage return overwrites its line, as progress bars do: only the last state is of interest.
  const settled = visible.includes('\r') ? visible.replace(/^[^\n]*\r(?=[^\n])/gm, '') : visible
  return settled.replace(CONTROLS, '').replace(HIDDEN, (character) => `⟨U+${codePoint(character)}⟩`)
}

function codePoint(character: string): string {
  return (character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')
}
