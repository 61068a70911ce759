#!/bin/sh
# Makes what compose.yaml needs before its first start: .env, and secrets that only you can read. What is there stays.
set -eu
umask 077
cd "$(dirname "$0")"

new_password() {
    head -c 24 /dev/urandom | base64 | tr '+/' '-_' | tr -d '\n='
}

if [ "$(id -u)" = 0 ]; then
    echo "You are root, and so would the services be: set QUANTFLOW_UID and QUANTFLOW_GID in .env, or run this as another user."
fi
if [ ! -f .env ]; then
    sed -e "s/^QUANTFLOW_UID=.*/QUANTFLOW_UID=$(id -u)/" -e "s/^QUANTFLOW_GID=.*/QUANTFLOW_GID=$(id -g)/" .env.example > .env
fi
port=$(sed -n 's/^MONGO_PORT=//p' .env)

for folder in admin grafana importer research executor monitor; do
    mkdir -p "secrets/$folder"
done
if [ ! -s secrets/admin/quantflow_mongo_uri ]; then
    address="127.0.0.1:${port:-27017}/?authSource=admin&directConnection=true"
    printf 'mongodb://admin:%s@%s\n' "$(new_password)" "$address" > secrets/admin/quantflow_mongo_uri
fi
if [ ! -s secrets/grafana/admin_password ]; then
    new_password > secrets/grafana/admin_password
fi
echo "Ready: .env and secrets/. Next: docker compose up -d --build"
