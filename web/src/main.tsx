// Builds the page and puts it together.
import './app/no-eval.ts'
import './app/styles.css'
import { QueryClient, QueryClientProvider } from '@tanstack/react-query'
import { RouterProvider } from '@tanstack/react-router'
import { createRoot } from 'react-dom/client'
import { createClient } from '../../src/client/client.ts'
import { ApiProvider } from './app/api.ts'
import { createPageRouter } from './app/router.tsx'
import { openSocketStream } from './app/socket-stream.ts'
import { applyStoredTheme } from './app/theme.ts'

applyStoredTheme()
const page = document.getElementById('page')
if (!page) throw new Error('index.html has no #page')

const queries = new QueryClient({
  defaultOptions: {
    // Errand may be on this very machine, and what is held back while there is no network would be lost with the page.
    queries: { networkMode: 'always', refetchOnReconnect: true, retry: 1, staleTime: 5000 },
    mutations: { networkMode: 'always', retry: false },
  },
})
createRoot(page).render(
  <QueryClientProvider client={queries}>
    <ApiProvider value={createClient({ baseUrl: '', openStream: openSocketStream })}>
      <RouterProvider router={createPageRouter()} />
    </ApiProvider>
  </QueryClientProvider>,
)
