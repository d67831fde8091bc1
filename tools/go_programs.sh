# Sourced by what takes programs of others: those on PATH, else ones that are built with Go, once,
# outside the checkout. PART is the word its lines begin with, INTO the folder for links to them.
CACHES="${XDG_CACHE_HOME:-$HOME/.cache}"
HOME_OF="$CACHES/laneway"
mkdir -p "$INTO" "$HOME_OF"

say() { printf '== %s: %s\n' "$PART" "$*"; }

need_go() {
    command -v go >/dev/null || {
        say "$1 is missing and is built with Go, which is not on PATH: install Go 1.26 or newer." >&2
        exit 1
    }
}

# Whether the program of this name on PATH will do.
on_path() { command -v "$1" >/dev/null; }

# program NAME VERSION PACKAGE [FOLDER]: link it into INTO. Built in the cache's FOLDER, or NAME-VERSION.
program() {
    if on_path "$1"; then
        ln -sf "$(command -v "$1")" "$INTO/"
        return
    fi
    built="$HOME_OF/${4:-$1-$2}"
    if [ ! -x "$built/$1" ]; then
        need_go "$1"
        say "building $1 $2 into $built: some minutes"
        GOBIN="$built" CGO_ENABLED=0 go install ${TAGS:+-tags "$TAGS"} "$3@$2"
    fi
    ln -sf "$built/$1" "$INTO/"
}
