// Attacks on whoever reads what a session says and does. A program inside reports and commits it, as the runner and git do; what
// came of it is seen by whoever shows it, so that a script prints only what went wrong before.
import { type AttackCase, inNode, type Targets } from './attack-case.ts'
import { RUNNER } from './door-cases.ts'
import { gitWith, LARGE_FILES } from './git-cases.ts'

/** What a terminal does more than show, by what it is good for. */
export const TERMINAL_ATTACKS = {
  clipboard: '\x1b]52;c;ZXZpbA==\x07',
  title: '\x1b]0;evil\x07',
  'hidden-address': '\x1b]8;;https://evil.example\x1b\\words\x1b]8;;\x1b\\',
  'clear-screen': '\x1b[2J\x1b[H',
  'in-one-byte': '\x9b2J',
  'typed-for-you': '\x1bP$q"p\x1b\\',
  'over-the-line': '\rrm_-rf',
  'rubbed-out': '\b\b\b',
  direction: '\u202etxt.exe',
  'not-seen': '\u200b\u2066',
} as const

/** Where they are put: all that the runner may report and a terminal shows, and a file of a commit. */
export const SHOWN_PLACES = [
  ...['text', 'thinking', 'tool-name', 'tool-input', 'tool-output', 'command', 'notice', 'hook'],
  ...['question', 'option', 'file'],
] as const

/** How an attack begins in a place, so that it is found again. */
export const markOf = (place: string, way: string) => `${place}~${way}~`

/** What a page does more than show: each one asks for its own name at `at`. */
const pageAttacks = (at: string) => ({
  image: `![image](${at}/image)`,
  'image-element': `<img src="${at}/image-element">`,
  frame: `<iframe src="${at}/frame"></iframe>`,
  script: `<iframe srcdoc="<script src='${at}/script'></script>"></iframe>`,
  'inline-script': `<iframe srcdoc="<script>new Image().src='${at}/inline-script'</script>"></iframe>`,
  handler: `<iframe srcdoc="<svg onload=&quot;new Image().src='${at}/handler'&quot;></svg>"></iframe>`,
  svg: `<svg width="9" height="9"><image href="${at}/svg" width="9" height="9"></image></svg>`,
  style: `<style>@import url(${at}/style);</style>`,
  media: `<video src="${at}/media" preload="auto"></video>`,
})
export const PAGE_ATTACKS = Object.keys(pageAttacks('')) as (keyof ReturnType<typeof pageAttacks>)[]
/** What is said last, in words that markdown makes strong. */
export const LAST_WORDS = 'nothing comes after this'

const pageText = (at: string) =>
  [...Object.values(pageAttacks(at)), `**${LAST_WORDS}**`].join('\n\n')

/** What a large file (LFS) of a session does when a browser takes it for a program. */
export const PROGRAM = `document.title = 'the file ran'`

/** Reports in the turn of the session. */
const reportIn = (turn: string) => `${RUNNER}
const TURN = '${turn}'
const own = [{ type: 'phase.started', phase: 'checkout', generation: 1 }, { type: 'runner.ready', generation: 1 }]
const report = async (told) => {
  const reports = [...own, ...told].map((report, index) => ({ type: 'report', n: index + 1, report }))
  const { frames, ended } = await runner(reports, { enough: (all) => all.filter(({ n }) => n).length >= reports.length })
  const refused = frames.find(({ type }) => type === 'refused')
  if (refused || ended !== 'enough') say('reports', refused ? 'refused ' + refused.reason : ended)
}
`

/** Pushes a commit with these files; `done` has to be called at the end. */
const commitTo = (branch: string) => `${gitWith(branch)}
const commit = async (files) => {
  for (const [name, text] of Object.entries(files)) writeFileSync(folder + '/' + name, text)
  await git('add', '.')
  await git('commit', '--quiet', '--amend', '--no-edit')
  const came = told(await git('push', 'origin', 'HEAD:refs/heads/${branch}'))
  if (came !== 'pushed') say('push', came)
}
`

const sayOnPage = ({ turn, publicAddress, port }: Targets) =>
  inNode(`${reportIn(turn)}
const text = ${JSON.stringify(pageText(`http://${publicAddress}:${port}`))}
await report([{ type: 'assistant.text', turnId: TURN, uuid: 'u', text }])`)

export const SHOWN_CASES: AttackCase[] = [
  {
    id: 'terminal-text',
    title: 'have the terminal of whoever reads it do something',
    script: ({ branch, turn }) =>
      inNode(`${reportIn(turn)}${commitTo(branch)}
const attacks = Object.entries(${JSON.stringify(TERMINAL_ATTACKS)})
const at = (place) => attacks.map(([way, text]) => place + '~' + way + '~' + text).join(' ')
await commit({ 'hostile.txt': at('file') })
const tool = { turnId: TURN, uuid: 'u', toolUseId: 'tool' }
const question = { id: 'q', turnId: TURN, kind: 'question', title: at('question'), detail: '', askedAt: '', items: [{ question: 'Which?', header: '', multiSelect: false, options: [{ label: at('option'), description: '' }] }] }
await report([
  { type: 'assistant.text', turnId: TURN, uuid: 'u', text: at('text') },
  { type: 'assistant.thinking', turnId: TURN, uuid: 'u', text: at('thinking') },
  { ...tool, type: 'tool.called', name: at('tool-name'), input: { command: at('tool-input') } },
  { ...tool, type: 'tool.returned', output: at('tool-output'), isError: true, truncated: false },
  { type: 'command.output', turnId: TURN, text: at('command') },
  { type: 'agent.notice', turnId: TURN, kind: 'k', text: at('notice') },
  { type: 'hook.started', turnId: TURN, hookId: 'h', event: 'Stop', name: at('hook') },
  { type: 'hook.ended', turnId: TURN, hookId: 'h', outcome: 'success', exitCode: 0, durationMs: 1, output: '' },
  { type: 'question.asked', question },
])
done()`),
    held: /^shown in (\d+) of \1 places$/,
    broken: /^acted on in (\d+) of \1 places$/,
    notOnInstallation: 'it takes a terminal that shows it',
  },
  {
    id: 'page-markdown',
    title: 'have the page of whoever reads it load or run something, by what the agent says',
    script: (targets) => sayOnPage(targets),
    held: /^shown as text$/,
    broken: /^loaded$/,
    notOnInstallation: 'it takes a browser that shows it',
  },
  {
    id: 'page-policy',
    title: 'the same on a page whose markdown holds nothing back',
    script: (targets) => sayOnPage(targets),
    held: /^refused by (default|frame|img|media|script|style)-src/,
    broken: /^loaded$/,
    notOnInstallation: 'it takes a browser that shows it',
  },
  {
    id: 'page-file',
    title: 'have a browser take a large file (LFS) of the session for a program of the page',
    script: () =>
      inNode(`${LARGE_FILES}
const program = ${JSON.stringify(PROGRAM)}
const oid = hashOf(program)
await batch('upload', oid, program.length)
const sent = summary(await ask(http('PUT', FILES + oid, ['Content-Length: ' + program.length], program)))
if (!sent.startsWith('200')) say('upload', sent)`),
    held: /^refused for its type$/,
    broken: /^ran$/,
    notOnInstallation: 'it takes a browser that opens it',
  },
]
