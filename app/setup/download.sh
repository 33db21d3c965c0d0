# Downloads through pip, pinned by hash, into a virtual environment and folders of this user's own cache. pip's own
# configuration (mirrors, proxies, certificates) holds: nothing here overrides it.
# shellcheck shell=bash disable=SC1091,SC2034,SC2154

network_help() {
  fail "$1" \
    "Look at pip's message above. No network or a proxy: set pip's usual settings (https_proxy, PIP_CERT, pip.conf)." \
    "A hash that does not match: the file on the way is not the one that was tested; do not go on with it." \
    "Then run this again: it goes on from here."
}

# ensure_python: the virtual environment that the downloads run in; its interpreter is $glassbox_python.
glassbox_python=$glassbox_cache/python/bin/python
ensure_python() {
  local requirements=$glassbox_root/app/setup/requirements-build.txt folder=$glassbox_cache/python
  local stamp
  stamp=$folder/ready-$(sha256sum < "$requirements" | cut -c 1-16)
  [ -e "$stamp" ] && "$glassbox_python" -c '' 2> /dev/null && return 0
  say "making a Python environment for the downloads in $folder"
  rm -rf "$folder"
  python3 -m venv "$folder" >&2 ||
    fail "python3 -m venv failed." "On Debian and Ubuntu the package python3-venv has what it needs."
  "$glassbox_python" -m pip install --disable-pip-version-check --no-input --quiet --no-deps --only-binary :all: \
    --require-hashes -r "$requirements" >&2 || network_help "pip could not install the download tools."
  touch "$stamp"
}

pip_download() { # REQUIREMENTS FOLDER OPTION...
  local requirements=$glassbox_root/app/setup/$1 folder=$2
  shift 2
  "$glassbox_python" -m pip download --disable-pip-version-check --no-input --no-deps --require-hashes \
    -r "$requirements" -d "$folder" "$@" >&2
}
