# What app/run and tests/run do before anything else. To be sourced; set -euo pipefail is theirs.
# shellcheck shell=bash disable=SC1091,SC2034,SC2154
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
. "$glassbox_root/app/setup/pins.sh"
. "$glassbox_root/app/setup/packages.sh"
. "$glassbox_root/app/setup/download.sh"
. "$glassbox_root/app/setup/model.sh"

ensure_third_party() { bash "$glassbox_root/app/setup/third_party.sh" > /dev/null || exit "$told"; }

# build_preset PRESET [TARGET...]: configures when that was not done yet (ninja itself sees to it later), and builds.
build_preset() {
  local preset=$1 folder=$glassbox_root/build/$1
  shift
  if [ ! -e "$folder/build.ninja" ]; then
    say "configuring build/$preset"
    (cd "$glassbox_root" && cmake --preset "$preset" >&2) || fail "cmake could not configure build/$preset (see above)."
  fi
  say "building build/$preset"
  cmake --build "$folder" ${1:+--target "$@"} >&2 || fail "build/$preset did not build (see above)."
}
