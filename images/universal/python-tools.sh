# pytest and the like see what a project installs; uv and poetry keep out of its way.
touch /etc/pip.conf
for setting in break-system-packages=true root-user-action=ignore; do pip config --global set "global.${setting%=*}" "${setting#*=}"; done
install() { # program, then arguments of pip
  "$@" --report /tmp/report.json --ignore-installed
  python3 - <<'P' | record
import json
for item in json.load(open('/tmp/report.json'))['install']:
    found = item['metadata']
    digest = item['download_info'].get('archive_info', {}).get('hashes', {}).get('sha256', '')
    print('pip', found['name'], found['version'], 'sha256:' + digest, sep='\t')
P
}
own() { # tool: in an environment of its own
  rm -rf "/opt/$1" && python3 -m venv "/opt/$1"
  install "/opt/$1/bin/pip" install "$1==$(tool "$1")"
  ln -sf "/opt/$1/bin/$1" /usr/local/bin/
}
own poetry
own uv
ln -sf /opt/uv/bin/uvx /usr/local/bin/
install pip install \
  $(for name in pytest ruff mypy black; do echo "$name==$(tool "$name")"; done)
