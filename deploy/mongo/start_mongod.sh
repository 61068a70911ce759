#!/bin/bash
# Starts mongod with authentication as a replica set of one, which change streams need. A replica set's members know each
# other by a key: this one is the only member, makes its own, and shows it to nobody.
set -euo pipefail
if [ ! -s "$KEY_FILE" ]; then
    (umask 077 && head -c 756 /dev/urandom | base64 -w 0 > "$KEY_FILE.new" && chmod 400 "$KEY_FILE.new")
    mv "$KEY_FILE.new" "$KEY_FILE"
fi
exec mongod --keyFile "$KEY_FILE" "$@"
