#!/bin/sh
# Writes the ACL file that redis-server loads: users.acl with each user's password from
# $SECRETS_DIR/redis_<user>_password, as its SHA-256. Usage: acl.sh >FILE
set -eu
secrets=${SECRETS_DIR:-/run/secrets}

while read -r line; do
    case $line in
        "user default"*) printf '%s\n' "$line" ;;
        "user "*)
            user=${line#user }
            user=${user%% *}
            hash=$(tr -d '\n' <"$secrets/redis_${user}_password" | sha256sum | cut -d' ' -f1)
            printf '%s #%s\n' "$line" "$hash"
            ;;
    esac
done <"$(dirname "$0")/users.acl"
