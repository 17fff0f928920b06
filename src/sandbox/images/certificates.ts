// The certificate authorities that a sandbox trusts: those of its image and those that the machine's owner added.
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { orWhenMissing, readIfThere } from '../files.ts'

export const CA_BUNDLE = 'etc/ssl/certs/ca-certificates.crt'
/** Where Debian and Ubuntu expect authorities that the owner adds. */
export const LOCAL_CA_FOLDER = 'usr/local/share/ca-certificates'

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/g

/** Only the certificates of a PEM text: a private key beside them is left out. */
export function parseCertificates(text: string): string[] {
  return text.match(CERTIFICATE) ?? []
}

/** One PEM file without doubles. */
export function bundleOf(certificates: string[]): string {
  return `${[...new Set(certificates)].join('\n')}\n`
}

/** What the owner of the machine added, in `files` (from configuration) and in the system's place for it. */
export async function readExtraCertificates(files: string[]): Promise<string[]> {
  const folder = `/${LOCAL_CA_FOLDER}`
  const names = await orWhenMissing([], readdir(folder))
  const added = names.filter((name) => name.endsWith('.crt')).map((name) => join(folder, name))
  const texts = await Promise.all([...added, ...files].map((path) => readIfThere(path)))
  return [...new Set(texts.flatMap((text) => parseCertificates(text ?? '')))]
}
