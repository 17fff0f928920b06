// How each check of the server's API is left out.
import type { TestApp } from '../../src/http/app.fixture.ts'
import { type People, WITHOUT } from '../../src/http/every-route.fixture.ts'

export const API_SWITCHES: Record<string, (test: TestApp, people: People) => TestApp['app']> = {
  'api-nobody': WITHOUT.authentication,
  'api-other-owner': WITHOUT.owners,
  'api-member': WITHOUT.roles,
  'api-host': WITHOUT.host,
  'api-origin': WITHOUT.origin,
}
