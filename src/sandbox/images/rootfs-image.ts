// An image that is a folder with a root file system (by debootstrap, docker export …). It is never written to: a small
// layer of Errand's own lies over it. Its files count as untrusted: links in it are followed below its own root only.
import { realpath } from 'node:fs/promises'
import { sep } from 'node:path'
import { AppError } from '../../protocol/errors.ts'
import { orWhenMissing, readIfThere } from '../files.ts'
import { bundleOf, CA_BUNDLE, LOCAL_CA_FOLDER, parseCertificates } from './certificates.ts'
import { JAVA_TRUSTSTORE, javaTruststore } from './java-truststore.ts'
import { file, folder, type LayerEntry } from './layer.ts'
import { PROFILE, RESOLV_CONF } from './made-etc.ts'
import { pathInRoot } from './path-in-root.ts'

/** The image's true path; refused when it is not below one of the folders that the configuration names for images. */
export async function resolveRootfs(path: string, allowedFolders: string[]): Promise<string> {
  const found = await orWhenMissing(undefined, realpath(path))
  if (!found) throw new AppError('not_found', 'image_missing', 'There is no image at this path')
  for (const allowed of allowedFolders) {
    const top = await orWhenMissing(undefined, realpath(allowed))
    if (top && found.startsWith(top + sep)) return found
  }
  throw new AppError('forbidden', 'image_not_allowed', 'Images at this path are not allowed')
}

export async function rootfsLayer(root: string, extra: string[]): Promise<LayerEntry[]> {
  const path = await pathInRoot(root, CA_BUNDLE)
  const own = parseCertificates((path && (await readIfThere(path))) || '')
  const added = extra.filter((certificate) => !own.includes(certificate))
  const hasJava = (await pathInRoot(root, JAVA_TRUSTSTORE)) !== undefined
  return [
    ...['dev', 'etc', 'home', 'opt', 'opt/errand', 'proc', 'run', 'sys', 'workspace'].map((name) =>
      folder(name),
    ),
    folder('root', 0o700),
    folder('tmp', 0o1777),
    folder('var/lib/errand-runner', 0o700),
    file('etc/resolv.conf', RESOLV_CONF),
    PROFILE,
    file(CA_BUNDLE, bundleOf([...own, ...added])),
    ...(hasJava ? [file(JAVA_TRUSTSTORE, javaTruststore([...own, ...added]))] : []),
    // So that an update of the image's own list keeps them.
    ...added.map((text, at) => file(`${LOCAL_CA_FOLDER}/errand-${at}.crt`, `${text}\n`)),
  ]
}
