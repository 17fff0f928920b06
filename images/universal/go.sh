# Debian's Go fetches the newer one as a module, which the checksum database vouches for.
apt_install golang-go
export GOPATH=/var/tmp/go GOTOOLCHAIN="go$(tool go)" GOFLAGS=-modcacherw
/usr/lib/go/bin/go version
rm -rf /usr/local/go && mv "$GOPATH"/pkg/mod/golang.org/toolchain@*"$(tool go)".linux-* /usr/local/go
chmod -R u+w,a+rX /usr/local/go
chmod 755 /usr/local/go/bin/* /usr/local/go/pkg/tool/*/*
for command in go gofmt; do ln -sf "/usr/local/go/bin/$command" /usr/local/bin/; done
printf 'go\tgo\t%s\t%s\n' "$(tool go)" "$(cut -d' ' -f1 <"$(echo "$GOPATH"/pkg/mod/cache/download/golang.org/toolchain/@v/*.ziphash)")" | record
rm -rf "$GOPATH"
apt-get -y --autoremove purge golang-go
