// The files of /etc that are made and never copied: the users that every Debian-like system knows, and name resolution.
// There is no shadow file; nobody has a password, and root becomes anybody without one.
import { DOOR_ADDRESS, DOOR_HOST } from '../../protocol/network.ts'
import { file, type LayerEntry } from './layer.ts'

export const PASSWD = `root:*:0:0:root:/root:/bin/bash
daemon:*:1:1:daemon:/usr/sbin:/usr/sbin/nologin
bin:*:2:2:bin:/bin:/usr/sbin/nologin
sys:*:3:3:sys:/dev:/usr/sbin/nologin
sync:*:4:65534:sync:/bin:/bin/sync
games:*:5:60:games:/usr/games:/usr/sbin/nologin
man:*:6:12:man:/var/cache/man:/usr/sbin/nologin
lp:*:7:7:lp:/var/spool/lpd:/usr/sbin/nologin
mail:*:8:8:mail:/var/mail:/usr/sbin/nologin
news:*:9:9:news:/var/spool/news:/usr/sbin/nologin
uucp:*:10:10:uucp:/var/spool/uucp:/usr/sbin/nologin
proxy:*:13:13:proxy:/bin:/usr/sbin/nologin
www-data:*:33:33:www-data:/var/www:/usr/sbin/nologin
backup:*:34:34:backup:/var/backups:/usr/sbin/nologin
list:*:38:38:Mailing List Manager:/var/list:/usr/sbin/nologin
irc:*:39:39:ircd:/run/ircd:/usr/sbin/nologin
_apt:*:42:65534::/nonexistent:/usr/sbin/nologin
nobody:*:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
`

export const GROUP = `${`root:0 daemon:1 bin:2 sys:3 adm:4 tty:5 disk:6 lp:7 mail:8 news:9 uucp:10 man:12 proxy:13 kmem:15
dialout:20 fax:21 voice:22 cdrom:24 floppy:25 tape:26 sudo:27 audio:29 dip:30 www-data:33 backup:34 operator:37 list:38
irc:39 src:40 shadow:42 utmp:43 video:44 sasl:45 plugdev:46 staff:50 games:60 users:100 nogroup:65534`
  .split(/\s+/)
  .map((pair) => `${pair.replace(':', ':x:')}:`)
  .join('\n')}\n`

export const NSSWITCH = `passwd: files
group: files
shadow: files
gshadow: files
hosts: files dns
networks: files
protocols: files
services: files
ethers: files
rpc: files
netgroup: files
`

export const RESOLV_CONF = `nameserver ${DOOR_ADDRESS}\noptions timeout:2 attempts:3\n`

/** A login shell forgets the PATH that it was given. */
export const PROFILE = file('etc/profile.d/errand.sh', 'PATH="$PATH:/opt/errand/bin"\n')

/** What differs between sandboxes on the same image. */
export function sessionEntries(hostname: string): LayerEntry[] {
  return [
    file('etc/hostname', `${hostname}\n`),
    file(
      'etc/hosts',
      `127.0.0.1 localhost ${hostname}\n::1 localhost ip6-localhost ip6-loopback\n${DOOR_ADDRESS} ${DOOR_HOST}\n`,
    ),
  ]
}
