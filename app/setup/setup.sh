# What app/run and tests/run do before anything else. To be sourced; set -euo pipefail is theirs.
# shellcheck shell=bash disable=SC1091,SC2034,SC2154
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
. "$glassbox_root/app/setup/pins.sh"
. "$glassbox_root/app/setup/packages.sh"
. "$glassbox_root/app/setup/download.sh"
. "$glassbox_root/app/setup/model.sh"
. "$glassbox_root/app/setup/cuda.sh"

ensure_third_party() { bash "$glassbox_root/app/setup/third_party.sh" > /dev/null || exit "$told"; }

# The tests lie in the program's own folder, so that what one command has compiled the other need not.
preset_folder() { printf '%s/build/%s' "$glassbox_root" "${1/#tests/release}"; }

# True when the preset's folder stands. One that app/run made has no tests yet, one from before there was a CUDA toolkit
# no CUDA backend.
is_configured() {
  local folder
  folder=$(preset_folder "$1")
  if [ -n "${CUDA_HOME:-}" ] && grep -q '^GLASSBOX_NVCC:.*NOTFOUND' "$folder/CMakeCache.txt" 2> /dev/null; then return 1; fi
  [ -e "$folder/build.ninja" ] && { [ "$1" != tests ] || grep -q '^GLASSBOX_TESTS:BOOL=ON' "$folder/CMakeCache.txt"; }
}

# build_preset PRESET [TARGET...]: configures when that was not done yet (ninja itself sees to it later), and builds.
build_preset() {
  local preset=$1 folder
  folder=$(preset_folder "$preset")
  shift
  if ! is_configured "$preset"; then
    say "configuring ${folder#"$glassbox_root"/}"
    (cd "$glassbox_root" && cmake --preset "$preset" >&2) || fail "cmake could not configure $folder (see above)."
  fi
  say "building ${folder#"$glassbox_root"/}"
  cmake --build "$folder" ${1:+--target "$@"} >&2 || fail "$folder did not build (see above)."
}
