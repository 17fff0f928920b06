import { describe, expect, it } from 'vitest'
import { requestLink } from './request-link.ts'

const linkOf = (url: string, baseBranch: string | null = 'main', branch = 'errand/fix-cart') =>
  requestLink({ url, branch, baseBranch })?.url ?? null

describe('the link to a new pull request', () => {
  it.each([
    ['https://github.com/shop/cart.git', '/shop/cart/compare/main...errand/fix-cart?expand=1'],
    ['git@github.com:shop/cart.git', '/shop/cart/compare/main...errand/fix-cart?expand=1'],
    ['https://codeberg.org/shop/cart/', '/shop/cart/compare/main...errand/fix-cart'],
    [
      'ssh://git@gitlab.example.com:2222/a/shop/cart.git',
      '/a/shop/cart/-/merge_requests/new?merge_request%5Bsource_branch%5D=errand%2Ffix-cart&merge_request%5Btarget_branch%5D=main',
    ],
    [
      'https://bitbucket.org/shop/cart',
      '/shop/cart/pull-requests/new?source=errand%2Ffix-cart&dest=main',
    ],
  ])('of %s leads to its host', (url, rest) => {
    const host = /[\w-]+\.[\w.]+(?=[:/])/.exec(url.replace('git@', ''))?.[0]
    expect(linkOf(url)).toBe(`https://${host}${rest}`)
  })

  it('leaves the base to the host where it is not known, and encodes odd names', () => {
    expect(linkOf('https://github.com/a/b', null)).toBe(
      'https://github.com/a/b/compare/errand/fix-cart?expand=1',
    )
    expect(linkOf('https://github.com/a/b', 'a?b#c', 'x y')).toBe(
      'https://github.com/a/b/compare/a%3Fb%23c...x%20y?expand=1',
    )
  })

  it.each([
    'https://git.example.com/shop/cart',
    'http://github.com/shop/cart',
    'https://notgithub.com/shop/cart',
    'https://github.com/cart',
    '/home/ann/cart',
    '',
  ])('is not made up for %j', (url) => {
    expect(linkOf(url)).toBe(null)
  })
})
