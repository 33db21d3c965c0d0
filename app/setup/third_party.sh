#!/usr/bin/env bash
# Makes the libraries that the window is drawn with (app/third_party) and prints the folder where they are installed.
# They are built once for these sources, this recipe and this compiler, in the user's cache; after that the script only
# prints. CC and CXX name the compilers.
# shellcheck disable=SC1091,SC2154
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
. "$glassbox_root/app/setup/pins.sh"
. "$glassbox_root/app/setup/download.sh"

cc=${CC:-cc}
cxx=${CXX:-c++}
recipe=$glassbox_root/app/third_party/CMakeLists.txt
compiler=$("$cxx" --version 2> /dev/null | head -n 1) || compiler=
[ -n "$compiler" ] || fail "there is no C++ compiler ($cxx)." "Run app/run, which installs one, or set CXX."
key=$({
  cat "$recipe" "$glassbox_root/app/setup/requirements-sources.txt"
  printf '%s %s\n' "$compiler" "$(uname -m)"
} | sha256sum | cut -c 1-16)
place=$glassbox_cache/third_party
sources=$place/$bundle_name
installed=$place/built-$key

fetch_sources() {
  local work
  [ -e "$sources/complete" ] && return 0
  ensure_python
  say "getting the sources of Dear ImGui and its companions (51 MiB)"
  work=$(new_folder "$place/download")
  pip_download requirements-sources.txt "$work" --no-build-isolation --no-binary imgui-bundle ||
    network_help "the sources of the window's libraries could not be downloaded."
  say "unpacking them"
  tar -xzf "$work/$bundle_name.tar.gz" -C "$work" || fail "the sources could not be unpacked." "Is the disk full?"
  touch "$work/$bundle_name/complete"
  rm -rf "$sources"
  mv "$work/$bundle_name" "$sources"
  rm -rf "$place/download"
}

build_libraries() {
  local work=$place/work-$key log=$place/build-$key.log
  [ -e "$installed/complete" ] && return 0
  fetch_sources
  say "compiling the window's libraries once (about two minutes on two cores); log: $log"
  # An interrupted build is taken up where it stopped. $installed appears whole or not at all.
  if ! {
    cmake -S "$(dirname "$recipe")" -B "$work" -G Ninja -DCMAKE_BUILD_TYPE=Release -DGLASSBOX_BUNDLE_DIR="$sources" \
      -DCMAKE_C_COMPILER="$cc" -DCMAKE_CXX_COMPILER="$cxx" -DCMAKE_INSTALL_PREFIX="$work/install" &&
      cmake --build "$work" &&
      rm -rf "$work/install" &&
      cmake --install "$work"
  } > "$log" 2>&1; then
    tail -n 20 "$log" >&2
    fail "the window's libraries did not compile; the whole log is in $log" \
      "To start afresh, delete $place and run this again."
  fi
  touch "$work/install/complete"
  rm -rf "$installed"
  mv "$work/install" "$installed"
  rm -rf "$work"
}

[ -e "$installed/complete" ] || with_lock third_party build_libraries
printf '%s\n' "$installed"
