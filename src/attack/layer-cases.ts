// Attacks on what a setup script made for one session and others are given: a hostile branch was worked on before, and its
// files are in the way of the script. What is left of it is looked for in the sandbox of a session on another branch.
import type { AttackCase } from './attack-case.ts'

/** Where the script of the suite puts what it makes. */
export const MADE_FILE = '/opt/made/tool'

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
]
