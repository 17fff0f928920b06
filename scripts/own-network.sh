#!/bin/sh
# Runs a command in a network of its own, in which every address that no session may reach is this machine: whatever an attack
# sends there, with a control or without it, never leaves. Needs root.
exec unshare --net -- sh -c '
ip -batch - <<END
link set lo up
address add 169.254.169.254/32 dev lo
address add fd00:ec2::254/128 dev lo
address add 10.66.0.1/32 dev lo
address add 192.168.66.1/32 dev lo
address add 203.0.113.66/32 dev lo
address add 203.0.113.67/32 dev lo
address add 203.0.113.68/32 dev lo
END
exec "$@"' sh "$@"
