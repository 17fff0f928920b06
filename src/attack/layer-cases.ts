// Attacks on what a setup script made for one session and others are given: a hostile branch was worked on before, and its
// files are in the way of the script, or its session wrote over what was made. What is left of it is looked for in the sandbox
// of a session on another branch.
import type { AttackCase } from './attack-case.ts'

/** Where the script of the suite puts what it makes. */
export const MADE_FILE = '/opt/made/tool'
/** What an attack may leave beside it. */
export const LEFT_FILE = '/opt/made/left'

const look = () => `printf 'look: '; cat ${MADE_FILE}`
const notOnInstallation = 'it needs a repository with a hostile branch'

export const LAYER_CASES: AttackCase[] = [
  {
    id: 'layer-inputs',
    title: 'leave something for another branch by a file that the setup script was not to see',
    script: look,
    held: /^as the script made it$/,
    broken: /^evil$/,
    notOnInstallation,
  },
  {
    id: 'layer-key',
    title: 'leave something for another branch by a file that the setup script reads',
    script: look,
    held: /^as the script made it$/,
    broken: /^evil$/,
    notOnInstallation,
  },
  {
    id: 'layer-writing',
    title: 'write into a layer that is mounted, for the next session',
    script: () =>
      `printf 'overwritten: '; cat ${MADE_FILE}; printf 'added: '; cat ${LEFT_FILE} 2>&1`,
    held: /^(as the script made it|cat: .*: No such file or directory)$/,
    broken: /^evil$/,
    notOnInstallation: 'it needs an environment with a setup script',
  },
]
