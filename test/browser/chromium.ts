// How the browser suites start Debian's Chromium, and the two sizes that they look at.

export const CHROMIUM = '/usr/bin/chromium'
export const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]
export const DESK = { width: 1440, height: 900 }
export const PHONE = { width: 390, height: 844 }
