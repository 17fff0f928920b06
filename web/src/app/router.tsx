// The addresses of the page.
import {
  createRootRoute,
  createRoute,
  createRouter,
  type ErrorComponentProps,
  Link,
} from '@tanstack/react-router'
import { NewTask } from '../composer/new-task.tsx'
import { readPrefill } from '../composer/prefill.ts'
import { EnvironmentPage, NewEnvironmentPage } from '../environments/environment-page.tsx'
import { EnvironmentsPage } from '../environments/environments-page.tsx'
import { SessionPage } from '../sessions/session-page.tsx'
import { Button } from '../ui/button.tsx'
import { Failure } from '../ui/failure.tsx'
import { describeError } from './api.ts'
import { Shell } from './shell.tsx'

interface SessionSearch {
  panel?: 'changes' | 'network'
}

const root = createRootRoute({
  component: Shell,
  errorComponent: Broken,
  notFoundComponent: NotFound,
})
const newTask = createRoute({
  getParentRoute: () => root,
  path: '/',
  validateSearch: readPrefill,
  component: NewTask,
})
/** The list alone on a phone; at a desk it stands there anyway, beside a new task. */
const list = createRoute({ getParentRoute: () => root, path: '/sessions', component: NewTask })
const environments = createRoute({
  getParentRoute: () => root,
  path: '/environments',
  component: EnvironmentsPage,
})
const newEnvironment = createRoute({
  getParentRoute: () => root,
  path: '/environments/new',
  component: NewEnvironmentPage,
})
const environment = createRoute({
  getParentRoute: () => root,
  path: '/environments/$environmentId',
  component: EnvironmentPage,
})
const session = createRoute({
  getParentRoute: () => root,
  path: '/sessions/$sessionId',
  validateSearch: (search): SessionSearch =>
    search.panel === 'changes' || search.panel === 'network' ? { panel: search.panel } : {},
  component: SessionPage,
  errorComponent: Broken,
})

export function createPageRouter() {
  return createRouter({
    routeTree: root.addChildren([
      newTask,
      list,
      session,
      environments,
      newEnvironment,
      environment,
    ]),
  })
}

declare module '@tanstack/react-router' {
  interface Register {
    router: ReturnType<typeof createPageRouter>
  }
}

function Broken({ error, reset }: ErrorComponentProps) {
  return (
    <div className="mx-auto max-w-[760px] p-6">
      <Failure what="This part of the page broke" why={describeError(error).message}>
        <Button onClick={reset}>Show it again</Button>
        <Button onClick={() => window.location.reload()}>Load the page again</Button>
      </Failure>
    </div>
  )
}

function NotFound() {
  return (
    <div className="mx-auto max-w-[760px] p-6">
      <p>There is nothing at this address.</p>
      <Link to="/" className="hit inline-flex items-center underline">
        Start a new task
      </Link>
    </div>
  )
}
