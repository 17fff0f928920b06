// Encrypts secrets for the database: AES-256-GCM under a data key of their own, which is itself encrypted under a key
// derived from the installation's key file. Protects what somebody reads or rearranges in the database or a backup of it.
// Does not protect against who holds the key file as well, and does not hide how long a secret is.
import {
  createCipheriv,
  createDecipheriv,
  createHash,
  hkdfSync,
  randomBytes,
  timingSafeEqual,
} from 'node:crypto'
import { AppError } from '../protocol/errors.ts'

export interface Sealer {
  /** `context` names the row that the secret belongs to; the same is needed to open it. */
  seal(secret: string, context: string): Buffer
  open(sealed: Buffer, context: string): string
}

// Layout: version (1) | fingerprint of the key (4) | sealed data key (12 + 32 + 16) | sealed secret (12 + n + 16)
const VERSION = 1
const FINGERPRINT_BYTES = 4
const KEY_BYTES = 32
const NONCE_BYTES = 12
const TAG_BYTES = 16
const HEADER_BYTES = 1 + FINGERPRINT_BYTES
const WRAPPED_BYTES = NONCE_BYTES + KEY_BYTES + TAG_BYTES

/** `keyBytes` is the content of the key file: at least 32 random bytes. */
export function createSealer(keyBytes: Uint8Array): Sealer {
  if (keyBytes.length < KEY_BYTES) {
    throw new AppError('invalid', 'sealing_key_short', `the key file needs ${KEY_BYTES} bytes`)
  }
  const key = Buffer.from(hkdfSync('sha256', keyBytes, '', 'errand sealing 1', KEY_BYTES))
  const fingerprint = createHash('sha256').update(key).digest().subarray(0, FINGERPRINT_BYTES)
  const header = Buffer.concat([Buffer.of(VERSION), fingerprint])
  return {
    seal(secret, context) {
      const dataKey = randomBytes(KEY_BYTES)
      const wrapped = encrypt(key, dataKey, `key:${context}`)
      const body = encrypt(dataKey, Buffer.from(secret, 'utf8'), `secret:${context}`)
      return Buffer.concat([header, wrapped, body])
    },
    open(sealed, context) {
      if (sealed.length < HEADER_BYTES + WRAPPED_BYTES + NONCE_BYTES + TAG_BYTES) throw unreadable()
      if (!timingSafeEqual(sealed.subarray(0, HEADER_BYTES), header)) {
        throw new AppError(
          'unavailable',
          'sealing_key_other',
          'this secret was stored with another key file',
        )
      }
      const end = HEADER_BYTES + WRAPPED_BYTES
      const dataKey = decrypt(key, sealed.subarray(HEADER_BYTES, end), `key:${context}`)
      return decrypt(dataKey, sealed.subarray(end), `secret:${context}`).toString('utf8')
    },
  }
}

function encrypt(key: Buffer, plain: Buffer, context: string): Buffer {
  const nonce = randomBytes(NONCE_BYTES)
  const cipher = createCipheriv('aes-256-gcm', key, nonce)
  cipher.setAAD(Buffer.from(context, 'utf8'))
  const encrypted = Buffer.concat([cipher.update(plain), cipher.final()])
  return Buffer.concat([nonce, encrypted, cipher.getAuthTag()])
}

function decrypt(key: Buffer, sealed: Buffer, context: string): Buffer {
  const nonce = sealed.subarray(0, NONCE_BYTES)
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES })
  decipher.setAAD(Buffer.from(context, 'utf8'))
  decipher.setAuthTag(sealed.subarray(-TAG_BYTES))
  try {
    return Buffer.concat([
      decipher.update(sealed.subarray(NONCE_BYTES, -TAG_BYTES)),
      decipher.final(),
    ])
  } catch (error) {
    throw unreadable(error)
  }
}

function unreadable(cause?: unknown): AppError {
  const message = 'a stored secret is damaged or does not belong to its row'
  return new AppError('internal', 'secret_unreadable', message, { cause })
}
