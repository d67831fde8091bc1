#!/bin/sh
# Build an image with docker, podman or buildah, whichever works here.
#   sh tools/build_image.sh NAME DOCKERFILE CONTEXT [FLAGS]      BUILDER=docker|podman|buildah: that one
set -eu
[ $# -ge 3 ] || { sed -n '2,3s/^# *//p' "$0" >&2; exit 2; }
name=$1 dockerfile=$2 context=$3
shift 3

say() { printf '== image: %s\n' "$*"; }

# A docker client without an engine answers to --version all the same.
works() {
    case $1 in
    docker | podman) command -v "$1" >/dev/null && "$1" info >/dev/null 2>&1 ;;
    buildah) command -v buildah >/dev/null ;;
    *) say "BUILDER is '$1': it may be docker, podman or buildah." >&2; exit 2 ;;
    esac
}

builder=${BUILDER:-}
for one in docker podman buildah; do
    [ -z "$builder" ] && works "$one" && builder=$one
done
if [ -z "$builder" ] || ! works "$builder"; then
    say "${builder:-none of docker, podman and buildah} works here (a docker or podman needs its engine):" \
        "start it, or install buildah (apt-get install buildah)." >&2
    exit 1
fi

case $builder in
buildah)
    # Without an OCI runtime, as inside another container, buildah can still build in a chroot.
    command -v runc >/dev/null || command -v crun >/dev/null || set -- --isolation chroot --network host "$@"
    set -- bud --layers "$@"
    ;;
*) set -- build "$@" ;;
esac
say "building $name with $builder"
exec "$builder" "$@" --file "$dockerfile" --tag "$name" "$context"
