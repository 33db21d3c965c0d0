# Shared by the set-up scripts: where things live, how they speak, and the lock that keeps two runs apart.
# shellcheck shell=bash disable=SC1091,SC2034,SC2154

glassbox_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
export HOME="${HOME:-$(cd ~ && pwd)}" # some services start programs without it
glassbox_cache=${XDG_CACHE_HOME:-$HOME/.cache}/glassbox
glassbox_data=${XDG_DATA_HOME:-$HOME/.local/share}/glassbox

# Standard output belongs to the program (app/run tokenize --json), so everything said here goes to standard error.
say() { printf 'glassbox: %s\n' "$*" >&2; }
# fail WHAT REMEDY...: ends the run with exit code 1. `told` is how subshells tell their parents that the reason has been
# said already.
told=70
fail() {
  printf 'glassbox: %s\n' "$1" >&2
  shift
  for line in "$@"; do printf '          %s\n' "$line" >&2; done
  exit "$told"
}

# A step that fails without a message of its own must not end the run in silence.
set -E
on_error() {
  [ "$1" = "$told" ] || printf 'glassbox: stopped: a command failed at %s line %s\n' "${2##*/}" "$3" >&2
  exit "$told"
}
on_exit() { if [ "$1" = "$told" ]; then exit 1; fi; } # a script with a trap on EXIT of its own calls this at its end
watch_errors() { trap 'on_error $? "${BASH_SOURCE[0]:-the command line}" "$LINENO"' ERR; }
watch_errors
trap 'on_exit $?' EXIT

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
