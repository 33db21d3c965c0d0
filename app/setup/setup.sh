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

# True unless the folder was configured before there was a CUDA toolkit, or with another one.
has_this_toolkit() { # FOLDER
  local compiler
  [ -n "${CUDA_HOME:-}" ] || return 0
  compiler=$(sed -n 's/^GLASSBOX_NVCC:[A-Z]*=//p' "$1/CMakeCache.txt" 2> /dev/null || true)
  [ -z "$compiler" ] || [ "$(readlink -f "$compiler")" = "$(readlink -f "$CUDA_HOME/bin/nvcc")" ]
}

# True when the preset's folder stands. One that app/run made has no tests yet.
is_configured() {
  local folder
  folder=$(preset_folder "$1")
  has_this_toolkit "$folder" || return 1
  [ -e "$folder/build.ninja" ] && { [ "$1" != tests ] || grep -q '^GLASSBOX_TESTS:BOOL=ON' "$folder/CMakeCache.txt"; }
}

# What a build depends on besides its files.
build_state() {
  printf 'NVIDIA driver: %s; CUDA toolkit: %s\n' "$(has_nvidia_driver && echo yes || echo no)" "${CUDA_HOME:-none}"
}

# is_built PROGRAM STAMP PART...: no file of the parts is newer than the last good build, which was made in this state.
is_built() {
  local program=$1 stamp=$2
  shift 2
  [ -x "$program" ] && [ -e "$stamp" ] && [ "$(cat "$stamp")" = "$(build_state)" ] &&
    [ -z "$(find "$@" -newer "$stamp" -print -quit)" ]
}

# build_preset PRESET [TARGET...]: configures when that was not done yet (ninja itself sees to it later), and builds.
build_preset() {
  local preset=$1 folder
  folder=$(preset_folder "$preset")
  shift
  if ! is_configured "$preset"; then
    say "configuring ${folder#"$glassbox_root"/}"
    # What was found of another toolkit is looked for again.
    local again=()
    has_this_toolkit "$folder" || again=(-U GLASSBOX_NVCC -U GLASSBOX_CUDA_INCLUDE -U cuda_include -U cuda_runtime)
    (cd "$glassbox_root" && cmake --preset "$preset" "${again[@]}" >&2) || fail "cmake could not configure $folder (see above)."
  fi
  say "building ${folder#"$glassbox_root"/}"
  cmake --build "$folder" ${1:+--target "$@"} >&2 || fail "$folder did not build (see above)."
}
