// The diff of a session for the tests of the page.
import type { Diff } from '../../src/protocol/api.ts'
import { HEAD } from './fixture-sessions.ts'

const PATCH = `diff --git a/src/cart.js b/src/cart.js
index 3b18e51..9c1f0aa 100644
--- a/src/cart.js
+++ b/src/cart.js
@@ -6,7 +6,8 @@ const DISCOUNT_PERCENT = 10
 // Price of one line in cents, with the discount for many pieces.
 export function lineTotal({ priceCents, quantity }) {
   const full = priceCents * quantity
-  if (quantity > DISCOUNT_FROM) {
+  // From three pieces on, three included.
+  if (quantity >= DISCOUNT_FROM) {
     return full - Math.round((full * DISCOUNT_PERCENT) / 100)
   }
   return full
diff --git a/test/cart.test.js b/test/cart.test.js
index 77ab120..4f0e9d1 100644
--- a/test/cart.test.js
+++ b/test/cart.test.js
@@ -12,8 +12,16 @@ test('three pieces get the discount', () => {
   assert.equal(lineTotal({ priceCents: 250, quantity: 3 }), 675)
 })
 
-test('two pieces', () => {
-  assert.equal(lineTotal({ priceCents: 250, quantity: 2 }), 500)
+test('two pieces cost twice the price', () => {
+  assert.equal(lineTotal({ priceCents: 250, quantity: 2 }), 500)
+})
+
+test('the discount is rounded to whole cents', () => {
+  assert.equal(lineTotal({ priceCents: 333, quantity: 3 }), 899)
+})
+
+test('an empty cart costs nothing', () => {
+  assert.equal(cartTotal([]), 0)
 })
 
 test('a cart of several lines', () => {
`

const file = (path: string, insertions: number, deletions: number): Diff['files'][number] => ({
  ...{ path, oldPath: null, status: 'modified', binary: false, insertions, deletions },
})

export const DIFF: Diff = {
  base: 'c0ffee0000000000000000000000000000000000',
  head: HEAD,
  files: [file('src/cart.js', 2, 1), file('test/cart.test.js', 10, 2)],
  insertions: 12,
  deletions: 3,
  commits: [
    {
      id: HEAD,
      subject: 'Give the discount from three pieces on',
      author: 'Errand',
      at: '2026-01-10T12:00:00.000Z',
    },
  ],
  patch: PATCH,
  truncated: false,
}
