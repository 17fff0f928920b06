// The name of an image's version: when it was made, in letters that a path may hold and that sort by time.

/** `at` is an ISO 8601 time in UTC, to the millisecond. */
export function versionAt(at: string): string {
  return at.replace(/\D/g, '')
}
