// What the owner sets for the network of every session, and what the level `trusted` allows.
import { trustedHostsQuerySchema, trustedHostsSchema } from '../../protocol/api.ts'
import { AppError } from '../../protocol/errors.ts'
import {
  installationNetworkPatchSchema,
  installationNetworkSchema,
} from '../../protocol/installation-network.ts'
import type { HttpDeps } from '../deps.ts'
import { type Api, addRoute } from '../route.ts'

const tag = 'Network'

export function addNetworkRoutes(api: Api, { site, owned: { environments } }: HttpDeps): void {
  const path = '/installation/network'
  addRoute(
    api,
    {
      ...{ method: 'get', path, tag, answer: installationNetworkSchema },
      summary: 'Hosts that are allowed or refused in every session, and limits that hold for all',
    },
    () => site.network.get(),
  )
  addRoute(
    api,
    {
      ...{ method: 'patch', path, tag, access: 'owner', body: installationNetworkPatchSchema },
      ...{ summary: 'Change them; it holds within two seconds', answer: installationNetworkSchema },
    },
    ({ body }) => site.network.patch(body),
  )
  addRoute(
    api,
    {
      ...{ method: 'get', path: '/trusted-hosts', tag, query: trustedHostsQuerySchema },
      ...{ summary: 'What trusted allows in an environment', answer: trustedHostsSchema },
    },
    async ({ user, query }) => {
      const environment = query.environment
        ? await environments.find(user.id, query.environment)
        : await environments.ensureDefault(user.id)
      if (!environment)
        throw new AppError('not_found', 'environment_not_found', 'there is no such environment')
      return { environment: environment.name, ...(await site.trusted(environment.image)) }
    },
  )
}
