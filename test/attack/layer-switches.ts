// How what holds layers apart is left out: other inputs, or a name that does not say them. `branch` is what the hostile branch
// has beside the files of the other one.

import { LEFT_FILE, MADE_FILE } from '../../src/attack/layer-cases.ts'
import { layerKey } from '../../src/sessions/layers/layer-key.ts'
import type { LayersDeps } from '../../src/sessions/layers/layers.ts'
import type { ChangePlan } from './sandboxes.ts'

export const LOCK_FILE = 'package-lock.json'
/** Runs when the script installs, if it is there: as hooks of packages do. */
export const HOOK_FILE = 'hook.sh'

interface LayerParts {
  keyOf?: LayersDeps['keyOf']
  /** Paths that are read beside the declared ones. */
  alsoRead?: string[]
}

export interface LayerSwitch {
  branch: Record<string, string>
  both?: LayerParts
  off: LayerParts
  /** Run in a session that ends before the one that looks; it has to print this, with the control and without it. */
  before?: { script: string; printed: string; off: ChangePlan }
}

const EVIL = `echo evil > "$made"\n`
/** As the declared inputs alone would have it. */
const keyOfDeclared: LayersDeps['keyOf'] = ({ files, ...rest }) =>
  layerKey({ ...rest, files: files.filter(({ path }) => path === LOCK_FILE) })

/** The layer takes the place of the folder that a session writes in, and is mounted to be written. */
const writeIntoLayer: ChangePlan = (plan) => {
  const layer = plan.find(([name, , , mode]) => name === 'disk' && mode === 'ro')
  const [, disk = '', mount = ''] = layer ?? []
  return plan.map((step) => {
    if (step === layer) return ['disk', disk, mount]
    const [name, root = '', options = ''] = step
    if (name !== 'overlay') return step
    const lower = (/^lowerdir=([^,]*)/.exec(options)?.[1] ?? '').split(':')
    const others = lower.filter((folder) => !folder.startsWith(mount)).join(':')
    return [name, root, `lowerdir=${others},upperdir=${mount}/upper,workdir=${mount}/work`]
  })
}

export const LAYER_SWITCHES: Record<string, LayerSwitch> = {
  'layer-inputs': {
    branch: { [HOOK_FILE]: EVIL },
    both: { keyOf: keyOfDeclared },
    off: { keyOf: keyOfDeclared, alsoRead: [HOOK_FILE] },
  },
  'layer-key': {
    branch: { [LOCK_FILE]: `{ "install": "evil" }\n` },
    off: { keyOf: (ingredients) => layerKey({ ...ingredients, files: [] }) },
  },
  'layer-writing': {
    branch: { 'notes.txt': 'nothing that the script reads' },
    off: {},
    before: {
      script: `echo evil > ${MADE_FILE}; echo evil > ${LEFT_FILE}; sync; cat ${MADE_FILE} ${LEFT_FILE}`,
      printed: 'evil\nevil\n',
      off: writeIntoLayer,
    },
  },
}
