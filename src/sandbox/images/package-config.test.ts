import { describe, expect, it } from 'vitest'
import { cleanAptConf, cleanAptSources, cleanNpmrc, cleanPipConf } from './package-config.ts'

describe('cleanNpmrc', () => {
  it('keeps registries and drops every credential', () => {
    const text = [
      'registry=https://ann:hunter2@npm.example/simple/',
      '@team:registry = https://npm.example/team/',
      '//npm.example/:_authToken=npm_abc',
      '//npm.example/:_password=cGFzcw==',
      '//npm.example/:username=ann',
      '_auth=YW5uOmh1bnRlcjI=',
      'email=ann@example.org',
      'https-proxy=http://ann:hunter2@proxy.example:3128',
      'key="-----BEGIN PRIVATE KEY-----"',
      'cafile=/home/ann/ca.pem',
      `registry-two=https://$\{TOKEN}@npm.example/`,
      '; a comment',
      'fund=false',
    ].join('\n')
    expect(cleanNpmrc(text).split('\n')).toEqual([
      'registry = https://npm.example/simple/',
      '@team:registry = https://npm.example/team/',
      'cafile = /etc/ssl/certs/ca-certificates.crt',
      '; a comment',
      'fund = false',
    ])
  })
})

describe('cleanPipConf', () => {
  it('keeps sections, indexes and their continuation lines', () => {
    const text = [
      '[global]',
      'index-url = https://ann:hunter2@pypi.example/simple',
      'extra-index-url =',
      '    https://token@a.example/simple',
      '    https://b.example/simple',
      'proxy: http://ann:hunter2@proxy.example',
      'client-cert = /root/client.pem',
      'timeout: 60',
    ].join('\n')
    expect(cleanPipConf(text).split('\n')).toEqual([
      '[global]',
      'index-url = https://pypi.example/simple',
      'extra-index-url = ',
      '    https://a.example/simple',
      '    https://b.example/simple',
      'timeout = 60',
    ])
  })
})

describe('apt', () => {
  it('drops user names and passwords from sources', () => {
    expect(
      cleanAptSources('deb [arch=amd64] https://ann:hunter2@apt.example/debian stable main'),
    ).toBe('deb [arch=amd64] https://apt.example/debian stable main')
    expect(cleanAptSources('URIs: https://token@apt.example/debian')).toBe(
      'URIs: https://apt.example/debian',
    )
  })

  it('drops proxies, client certificates and commands from settings', () => {
    const text = [
      'APT::Install-Recommends "false";',
      'Acquire::http::Proxy "http://ann:hunter2@proxy.example";',
      'Acquire::https::apt.example::SslKey "/etc/key.pem";',
      'DPkg::Post-Invoke {',
      '  "touch /tmp/x";',
      '};',
      'Acquire::Retries "3";',
    ].join('\n')
    expect(cleanAptConf(text)).toBe('APT::Install-Recommends "false";\nAcquire::Retries "3";')
  })
})
