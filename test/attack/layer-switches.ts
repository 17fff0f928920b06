// How what holds layers apart is left out: other inputs, or a name that does not say them. `branch` is what the hostile branch
// has beside the files of the other one.

import { layerKey } from '../../src/sessions/layers/layer-key.ts'
import type { LayersDeps } from '../../src/sessions/layers/layers.ts'

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
}

const EVIL = `echo evil > "$made"\n`
/** As the declared inputs alone would have it. */
const keyOfDeclared: LayersDeps['keyOf'] = ({ files, ...rest }) =>
  layerKey({ ...rest, files: files.filter(({ path }) => path === LOCK_FILE) })

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
}
