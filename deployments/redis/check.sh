#!/usr/bin/env bash
# Tests the ACL on a private redis-server: each service can do what kit does, and nothing else.
set -euof pipefail
cd "$(dirname "$0")"

place=$(mktemp -d)
# shellcheck disable=SC2329  # called by the trap
clean_up() {
    if [ -f "$place/pid" ]; then kill "$(cat "$place/pid")" 2>/dev/null || true; fi
    rm -rf "$place"
}
trap clean_up EXIT
socket=$place/s
failed=0

users=$(sed -n 's/^user \([a-z]*\) on .*/\1/p' users.acl)
for user in $users; do
    printf 'secret-of-%s' "$user" >"$place/redis_${user}_password"
done
SECRETS_DIR=$place ./acl.sh >"$place/users.acl"
if grep -q secret-of "$place/users.acl"; then
    echo "the ACL file has a password in it"
    failed=1
fi
redis-server --port 0 --unixsocket "$socket" --dir "$place" --pidfile "$place/pid" --daemonize yes --save '' \
    --logfile "$place/log" --maxmemory 64mb --aclfile "$place/users.acl" >/dev/null
for _ in $(seq 50); do
    [ -S "$socket" ] && break
    sleep 0.1
done
[ -S "$socket" ] || { tail -n 3 "$place/log"; exit 1; }

as() { # USER COMMAND…
    local user=$1
    shift
    REDISCLI_AUTH=secret-of-$user redis-cli -s "$socket" --user "$user" --no-auth-warning "$@" 2>&1
}
expect() { # WHAT EXPECTED ANSWER
    # shellcheck disable=SC2053  # a pattern
    if [[ $3 != $2 ]]; then
        printf '%s: %s instead of %s\n' "$1" "$3" "$2"
        failed=1
    fi
}

expect "nobody" "NOAUTH*" "$(redis-cli -s "$socket" ping 2>&1)"
expect "the default user" "*WRONGPASS*" "$(redis-cli -s "$socket" -a x --no-auth-warning ping 2>&1)"
expect "a wrong password" "*WRONGPASS*" "$(redis-cli -s "$socket" --user points -a x --no-auth-warning ping 2>&1)"
put="redis.call('GETRANGE', KEYS[1], 0, 31); redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]); return 1"
for user in auth points booking incidents; do
    expect "$user pings" PONG "$(as "$user" ping)"
    expect "$user writes" OK "$(as "$user" set "$user:k" v PX 60000)"
    expect "$user reads" v "$(as "$user" getrange "$user:k" 0 65536)"
    expect "$user writes versioned" 1 "$(as "$user" eval "$put" 1 "$user:k" w 60000)"
    expect "$user counts by Redis's clock" 2 "$(as "$user" eval "return #redis.call('TIME')" 1 "$user:limit:default:m")"
    expect "$user deletes" 1 "$(as "$user" del "$user:k")"
    for other in auth points booking incidents; do
        [ "$other" = "$user" ] && continue
        expect "$user reads a key of $other" "NOPERM*" "$(as "$user" getrange "$other:k" 0 9)"
        expect "$user writes a key of $other by script" "*NOPERM*" "$(as "$user" eval "$put" 1 "$other:k" w 60000)"
    done
    # a script may do no more than its user
    expect "$user flushes by script" "*can't run this command*" "$(as "$user" eval "return redis.call('FLUSHALL')" 1 "$user:k")"
    expect "$user reaches over by script" "*can't access*" "$(as "$user" eval "return redis.call('GETRANGE', 'other:k', 0, 1)" 1 "$user:k")"
    while read -r command; do
        # the one that asks whether its queue is on disk
        [ "$user $command" = "points config get maxmemory" ] && continue
        # shellcheck disable=SC2086  # a command and its arguments
        expect "$user: $command" "NOPERM*" "$(as "$user" $command)"
    done <<'END'
keys a*
scan 0
flushall
flushdb
config get maxmemory
config set maxmemory 1
acl list
acl whoami
client list
client kill 1.2.3.4:5
shutdown nosave
monitor
save
bgrewriteaof
replicaof 127.0.0.1 1
module list
script flush
function list
info
dbsize
randomkey
migrate 127.0.0.1 1 k 0 1
rename a b
subscribe c
END
done
expect "points learns whether its queue is on disk" "appendfsync*" "$(as points config get appendfsync)"
# what moves money or ends sessions, and who may say so
queue="return redis.call('XADD', KEYS[1] .. ':queue', '*', 'job', ARGV[1])"
expect "points queues an earning" "*-0" "$(as points eval "$queue" 1 "points:{fallback}" e)"
feed="return redis.call('XADD', KEYS[1], 'MINID', '~', '1', '*', 's', ARGV[1])"
read="return redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', ARGV[1])"
expect "auth ends a session" "*-0" "$(as auth eval "$feed" 1 "auth:{revocations}" s)"
for user in auth points booking incidents; do
    if [ "$user" != points ]; then
        expect "$user queues an earning" "*NOPERM*" "$(as "$user" eval "$queue" 1 "points:{fallback}" e)"
        expect "$user reads the queue" "NOPERM*" "$(as "$user" xrange "points:{fallback}:queue" - +)"
        expect "$user reads an outcome" "NOPERM*" "$(as "$user" getrange "points:{fallback}:job:1" 0 9)"
    fi
    [ "$user" = auth ] && continue
    expect "$user hears of it" "*-0*" "$(as "$user" eval_ro "$read" 1 "auth:{revocations}" 9)"
    expect "$user ends a session" "*NOPERM*" "$(as "$user" eval "$feed" 1 "auth:{revocations}" s)"
    expect "$user appends to the feed" "NOPERM*" "$(as "$user" xadd "auth:{revocations}" '*' s v)"
    expect "$user ends the feed" "NOPERM*" "$(as "$user" del "auth:{revocations}")"
    expect "$user changes the feed's epoch" "NOPERM*" "$(as "$user" set "auth:{revocations}:epoch" v)"
done
expect "the exporter reads numbers" "*redis_version*" "$(as exporter info server)"
expect "the exporter reads a value" "NOPERM*" "$(as exporter get points:k)"
expect "the exporter changes a setting" "NOPERM*" "$(as exporter config set maxmemory 1)"
expect "the server is still there" PONG "$(as points ping)"
exit $failed
