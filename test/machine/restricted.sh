#!/bin/sh
# Run in the test machine: what `doctor` and `up` tell an ordinary user whom the kernel lets make no namespaces, and whether
# what doctor names mends it. Arguments are assignments of sysctl; for each three files are left in /errand/share.
set -eu
useradd --create-home ann
errand() {
  setpriv --reuid=ann --regid=ann --init-groups env HOME=/home/ann USER=ann node /errand/code/src/main.js "$@"
}
fix_of() {
  node -p 'JSON.parse(fs.readFileSync(process.argv[1])).checks.find(({ name }) => name === "user namespaces").fix' "$1"
}

for assignment; do
  answers=/errand/share/${assignment%%=*}
  sysctl -qw "$assignment"
  errand doctor --json >"$answers.doctor" || true
  errand up --port 0 >"$answers.up" &
  until grep -q 'Stop with' "$answers.up"; do
    kill -0 $! || exit 1
    sleep 0.2
  done
  errand down
  wait
  sh -c "$(fix_of "$answers.doctor")"
  errand doctor --json >"$answers.mended" || true
done
