folder=/usr/local/lib/node-tools
rm -rf "$folder" && mkdir -p "$folder" && cd "$folder"
npm install --ignore-scripts --no-audit --no-fund --omit-lockfile-registry-resolved $(tools_as @)
for command in node_modules/.bin/*; do
  case "${command##*/}" in
  yarn | yarnpkg | pnpm | pnpx | eslint | prettier) ln -sf "$folder/$command" /usr/local/bin/ ;;
  esac
done
node -e '
  const { packages } = JSON.parse(require("fs").readFileSync("package-lock.json", "utf8"))
  for (const [path, { version, integrity }] of Object.entries(packages))
    if (path) console.log(["npm", path.replace(/^.*node_modules\//, ""), version, integrity].join("\t"))
' | sort -u | record
