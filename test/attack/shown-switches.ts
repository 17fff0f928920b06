// How what keeps a session from acting on its readers is left out: one reads it with the control, the other one without.
import type { PageParts, PageReader } from './page-reader.ts'
import { readOnTerminal, type Session } from './terminal-reader.ts'

type Read = (session: Session, page: PageReader) => Promise<string>

export interface ShownSwitch {
  on: Read
  off: Read
}

const onPage =
  (parts: PageParts): Read =>
  (session, page) =>
    page.read(session, parts)
const withFile =
  (parts: PageParts): Read =>
  (session, page) =>
    page.runFile(session, parts)

const WITHOUT_POLICY: PageParts = { without: ['content-security-policy'] }

export const SHOWN_SWITCHES: Record<string, ShownSwitch> = {
  'terminal-text': {
    on: (session) => readOnTerminal(session, true),
    off: (session) => readOnTerminal(session, false),
  },
  'page-markdown': {
    on: onPage(WITHOUT_POLICY),
    off: onPage({ ...WITHOUT_POLICY, isTrusting: true }),
  },
  'page-policy': {
    on: onPage({ isTrusting: true }),
    off: onPage({ ...WITHOUT_POLICY, isTrusting: true }),
  },
  'page-file': {
    on: withFile({}),
    off: withFile({ without: ['x-content-type-options'] }),
  },
}
