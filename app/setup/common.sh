# Shared by the set-up scripts: where things live, how they speak, and the lock that keeps two runs apart.
# shellcheck shell=bash disable=SC1091,SC2034,SC2154

glassbox_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
glassbox_cache=${XDG_CACHE_HOME:-$HOME/.cache}/glassbox
glassbox_data=${XDG_DATA_HOME:-$HOME/.local/share}/glassbox

# Standard output belongs to the program (app/run tokenize --json), so everything said here goes to standard error.
say() { printf 'glassbox: %s\n' "$*" >&2; }
fail() {
  printf 'glassbox: %s\n' "$1" >&2
  shift
  for line in "$@"; do printf '          %s\n' "$line" >&2; done
  exit 1
}

# A step that fails without a message of its own must not end the run in silence.
set -E
trap 'printf "glassbox: stopped: a command failed at %s line %s\n" "${BASH_SOURCE[0]:-the command line}" "$LINENO" >&2' ERR

# with_lock NAME COMMAND...: one at a time for this user; a second run waits, and finds the work done.
with_lock() {
  local name=$1
  shift
  mkdir -p "$glassbox_cache"
  (
    if ! flock -n 9; then
      say "another run is at work on this ($name); waiting for it"
      flock 9
    fi
    "$@"
  ) 9> "$glassbox_cache/$name.lock"
}

# new_folder PARENT: an empty working folder beside the final place, so that the last step is a rename. What an
# interrupted run left there is swept away first.
new_folder() {
  mkdir -p "$1"
  rm -rf "$1"/.partial-*
  mktemp -d "$1/.partial-XXXXXX"
}
