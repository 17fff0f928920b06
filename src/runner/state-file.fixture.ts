// For tests in which the disk takes everything.

export function failOnDisk(error: unknown): never {
  throw error
}
