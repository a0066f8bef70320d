#!/bin/sh
# Makes the secrets of docker-compose.yml in deployments/secrets/ (git-ignored). Run it as often as you
# like: what is there stays. To rotate one, delete its file, run this again, and restart the stack.
set -eu
cd "$(dirname "$0")"

# Compose mounts these files as they are and cannot change owner or mode, and the containers run as
# seven different users: so the files are readable to all, and the directory only to you.
mkdir -p secrets
chmod 700 secrets
cd secrets
umask 022

# write NAME: standard input becomes the secret, all of it or nothing
write() {
    cat >".$1.new"
    chmod 444 ".$1.new"
    mv -f ".$1.new" "$1"
}

# random NAME BYTES: once, in hex, so that it needs no escaping in a URL, in SQL or in YAML
random() {
    [ -s "$1" ] || od -An -vtx1 -N "$2" /dev/urandom | tr -d ' \n' | write "$1"
}

random postgres_password 24
random grafana_admin_password 12
random alert_webhook_token 32
# what messages to the gateways of text messages and of tickets are signed with
random sms_secret 32
random ticket_secret 32
random line_token_key 32
# a 256-bit key
[ -s auth_key_encryption_key ] || head -c 32 /dev/urandom | base64 | tr -d '\n' | write auth_key_encryption_key

for service in auth points booking incidents; do
    random "${service}_owner_password" 24
    random "${service}_app_password" 24
    # derived, so always written: a rotated password reaches them
    printf 'postgres://%s_owner:%s@postgres:5432/%s' \
        "$service" "$(cat "${service}_owner_password")" "$service" | write "${service}_owner_url"
    printf 'postgres://%s_app:%s@postgres:5432/%s' \
        "$service" "$(cat "${service}_app_password")" "$service" | write "${service}_database_url"
done

# who watches and who copies the stores
random exporter_password 24
random backup_password 24
for user in auth points booking incidents exporter; do
    random "redis_${user}_password" 24
done
for service in auth points booking incidents; do
    printf 'redis://%s:%s@redis:6379' "$service" "$(cat "redis_${service}_password")" | write "redis_${service}_url"
done
# under both names by which versions of the exporter look for it
printf '{"redis://redis:6379": "%s", "redis://exporter@redis:6379": "%s"}\n' \
    "$(cat redis_exporter_password)" "$(cat redis_exporter_password)" | write redis_exporter_passwords

for client in points booking incidents; do
    random "${client}_client_secret" 32
done
