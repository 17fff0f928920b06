// The built page. Paths are taken apart here and never leave the folder, through links neither; what is no file is the page
// itself, whose router knows the rest.
import { readFile, realpath, stat } from 'node:fs/promises'
import { extname, join, sep } from 'node:path'
import type { MiddlewareHandler } from 'hono'
import { AppError } from '../protocol/errors.ts'
import type { ApiEnv } from './route.ts'

const TYPES: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json',
  '.map': 'application/json',
  '.webmanifest': 'application/manifest+json',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.woff2': 'font/woff2',
  '.wasm': 'application/wasm',
  '.txt': 'text/plain; charset=utf-8',
}

export function serveStatic(folder: string): MiddlewareHandler<ApiEnv> {
  return async (c) => {
    if (c.req.method !== 'GET' && c.req.method !== 'HEAD') {
      throw new AppError('not_found', 'route_not_found', 'there is nothing at this address')
    }
    const file = await findFile(folder, c.req.path)
    const found =
      file ?? (extname(c.req.path) === '' ? await findFile(folder, '/index.html') : undefined)
    if (!found) throw new AppError('not_found', 'file_not_found', 'there is no such file')
    // The bundler puts a hash of the content into the names below /assets/.
    const isHashed = file !== undefined && c.req.path.startsWith('/assets/')
    return c.body(new Uint8Array(await readFile(found)), 200, {
      'content-type': TYPES[extname(found)] ?? 'application/octet-stream',
      'cache-control': isHashed ? 'public, max-age=31536000, immutable' : 'no-cache',
    })
  }
}

async function findFile(folder: string, path: string): Promise<string | undefined> {
  const segments = parsePath(path)
  if (!segments) return undefined
  try {
    const root = await realpath(folder)
    const file = await realpath(join(root, ...segments))
    return file.startsWith(root + sep) && (await stat(file)).isFile() ? file : undefined
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ENAMETOOLONG') return undefined
    throw error
  }
}

function parsePath(path: string): string[] | undefined {
  let decoded: string
  try {
    decoded = decodeURIComponent(path)
  } catch {
    return undefined
  }
  const segments = decoded.split('/').filter((segment) => segment !== '')
  const isPlain = segments.every((segment) => !segment.startsWith('.') && !/[\\\0]/.test(segment))
  return isPlain ? segments : undefined
}
