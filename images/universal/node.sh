# Node.js as it is published to the npm registry: the newer one is `node`, each has its npm under /opt.
fetch() { # package, folder
  npm_pack "$1" | tar -xzf - --strip-components=1 -C "$2"
}
for name in node22 node24; do
  version=$(tool "$name")
  rm -rf "/opt/$name" && mkdir -p "/opt/$name/lib/node_modules/npm"
  fetch "node-linux-$NODE_ARCH@$version" "/opt/$name"
  fetch "npm@$(tool npm)" "/opt/$name/lib/node_modules/npm"
  chmod 755 "/opt/$name/bin/node"
  for command in npm npx; do
    ln -sf "../lib/node_modules/npm/bin/$command-cli.js" "/opt/$name/bin/$command"
    chmod 755 "/opt/$name/lib/node_modules/npm/bin/$command-cli.js"
  done
  ln -sf "/opt/$name/bin/node" "/usr/local/bin/$name"
done
for command in node npm npx; do ln -sf "/opt/node24/bin/$command" "/usr/local/bin/$command"; done
# Tools that people install globally are found without a change of PATH.
printf 'prefix = /usr/local\nupdate-notifier = false\nfund = false\n' >/opt/node24/lib/node_modules/npm/npmrc
cp /opt/node24/lib/node_modules/npm/npmrc /opt/node22/lib/node_modules/npm/npmrc
npm --version
