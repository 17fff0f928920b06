# Read before each step. A step may be run again after it was cut off, so it makes its folders anew. TOOLS has `name=version` words;
# RECORD is where a step writes what it installed: kind, name, version and checksum, with tabs between them.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 HOME=/root

tool() { tools_as = | tr ' ' '\n' | sed -n "s/^$1=//p" | grep .; }

tools_as() { echo "${TOOLS//=/$1}"; }

record() { cat >>"$RECORD"; }

apt_install() {
  dpkg --configure -a
  apt-get -y --fix-broken --no-install-recommends install "$@"
}

npm_pack() { # package@version: its archive, checked, to stdout
  local name=${1%@*} version=${1##*@} about file integrity
  about=$(curl -fsSL --retry 3 "${NPM_REGISTRY%/}/$name/$version")
  integrity=$(jq -r .dist.integrity <<<"$about")
  file=$DOWNLOADS/${name##*/}-$version.tgz
  if [ ! -f "$file" ]; then
    curl -fsSL --retry 3 -o "$file.part" "$(jq -r .dist.tarball <<<"$about")"
    mv "$file.part" "$file"
  fi
  if [ "sha512-$(openssl dgst -sha512 -binary "$file" | base64 -w0)" != "$integrity" ]; then
    rm -f "$file"
    echo "$1 is not what the registry says it is: its checksum differs" >&2
    return 1
  fi
  printf 'npm\t%s\t%s\t%s\n' "$name" "$version" "$integrity" | record
  cat "$file"
}
