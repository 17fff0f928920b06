# The last step of every image: what Debian gave, what its tools are, then nothing that only the build needed.
apt-get clean
ls /var/lib/apt/lists/*Release >/dev/null 2>&1 || apt-get update
apt-cache show $(dpkg-query --show --showformat '${binary:Package}=${Version} ') |
  awk '/^Package:/ { name = $2 } /^Version:/ { version = $2 } /^SHA256:/ { print "apt\t" name "\t" version "\tsha256:" $2 }' |
  sort -u | record
# So that check-tools need not ask each tool in the first session.
if [ -f /run/build/check-tools ] && command -v node >/dev/null; then node /run/build/check-tools >/dev/null; fi
rm -rf /root/.cache /root/.npm /root/.config/go /var/lib/apt/lists/* /var/cache/apt/*.bin /var/tmp/* /usr/sbin/policy-rc.d
find /var/log -type f -delete
: >/etc/machine-id
