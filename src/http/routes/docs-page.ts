// The OpenAPI document as one plain page: no script, nothing from elsewhere.

interface Operation {
  summary?: string
  tags?: string[]
  security?: unknown[]
}
interface Document {
  info: { title: string; version: string }
  paths?: Record<string, Record<string, unknown>>
}

export function renderDocs(document: Document): string {
  const operations = Object.entries(document.paths ?? {}).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      method: method.toUpperCase(),
      path,
      ...(operation as Operation),
    })),
  )
  const groups = Map.groupBy(operations, ({ tags }) => tags?.[0] ?? 'Other')
  const sections = [...groups].map(([tag, members]) => {
    const rows = members.map(
      ({ method, path, summary, security }) =>
        `<tr><td><code>${method}</code></td><td><code>/api/v1${escapeHtml(path)}</code></td>` +
        `<td>${escapeHtml(summary ?? '')}${security?.length === 0 ? ' (public)' : ''}</td></tr>`,
    )
    return `<h2>${escapeHtml(tag)}</h2><table>${rows.join('')}</table>`
  })
  const title = `${escapeHtml(document.info.title)} API ${escapeHtml(document.info.version)}`
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${title}</title>
<style>body{font:14px/1.5 system-ui;max-width:960px;margin:32px auto;padding:0 16px}td{padding:4px 12px 4px 0;vertical-align:top}</style>
</head><body><h1>${title}</h1><p>Schemas: <a href="/api/v1/openapi.json">openapi.json</a></p>${sections.join('')}</body></html>`
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}
