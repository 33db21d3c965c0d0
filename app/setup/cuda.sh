# CUDA's compiler and headers: the machine's own toolkit, or packages in this user's cache. No GPU and no driver is needed
# to compile, nor for the emulated tests. And cuBLAS, which the program looks for when it runs.
# shellcheck shell=bash disable=SC1091,SC2034,SC2154

cuda_newest_architecture=120 # kernels/cuda/toolkit.cmake has them all

# Where a driver of NVIDIA's shows. Under WSL2 it is that of Windows, of which there is only the library.
nvidia_driver_signs=(/proc/driver/nvidia/version /usr/lib/wsl/lib/libcuda.so.1)

# True where there is one: then there is a GPU to compute on.
has_nvidia_driver() {
  local sign
  for sign in "${nvidia_driver_signs[@]}"; do [ ! -e "$sign" ] || return 0; done
  command -v nvidia-smi > /dev/null && [[ $(nvidia-smi -L 2> /dev/null || true) == GPU\ * ]]
}

# True where the folder holds a toolkit that knows the newest of our architectures; a release of the toolkit that does
# also speaks C++20.
is_cuda_toolkit() {
  [ -x "$1/bin/nvcc" ] && [ -e "$1/include/cuda_fp16.h" ] &&
    grep -qx "sm_$cuda_newest_architecture" <<< "$("$1/bin/nvcc" --list-gpu-code 2> /dev/null || true)"
}

fetch_cuda() { # FOLDER
  local folder=$1 work
  [ -e "$folder/complete" ] && return 0 # another run was faster
  ensure_python
  say "getting CUDA's compiler and headers for the tests (100 MiB; 270 MiB on disk)"
  work=$(new_folder "$glassbox_cache/cuda")
  "$glassbox_python" -m pip install --disable-pip-version-check --no-input --quiet --no-deps --only-binary :all: \
    --require-hashes -r "$glassbox_root/app/setup/requirements-cuda.txt" --target "$work/packages" >&2 ||
    network_help "CUDA's compiler and headers could not be downloaded."
  is_cuda_toolkit "$work/packages/nvidia/cu13" || fail "the downloaded packages do not hold CUDA's compiler and headers."
  mv "$work/packages/nvidia/cu13" "$work/toolkit"
  touch "$work/toolkit/complete"
  rm -rf "$folder"
  mv "$work/toolkit" "$folder"
  rm -rf "$work"
}

# Exports CUDA_HOME, or leaves it empty where there is neither a toolkit nor a package for this machine.
ensure_cuda() {
  local folder program
  program=$(command -v nvcc || true)
  [ -n "$program" ] && program=$(readlink -f "$program")
  for folder in "${CUDA_HOME:-}" "${CUDA_PATH:-}" "${program%/bin/nvcc}" /usr/local/cuda; do
    [ -n "$folder" ] && is_cuda_toolkit "$folder" && export CUDA_HOME="$folder" && return 0
  done
  export CUDA_HOME=
  [ "$(uname -m)" = x86_64 ] || return 0
  folder=$glassbox_cache/cuda/$(sha256sum < "$glassbox_root/app/setup/requirements-cuda.txt" | cut -c 1-16)
  [ -e "$folder/complete" ] || with_lock cuda fetch_cuda "$folder"
  export CUDA_HOME=$folder
}

fetch_cublas() { # FOLDER
  local folder=$1 work
  [ -e "$folder/complete" ] && return 0
  ensure_python
  say "getting cuBLAS, for prompts on the GPU (some hundred MiB; 570 MiB on disk)"
  work=$(new_folder "$glassbox_cache/cublas") || return 1
  "$glassbox_python" -m pip install --disable-pip-version-check --no-input --quiet --no-deps --only-binary :all: \
    --require-hashes -r "$glassbox_root/app/setup/requirements-cublas.txt" --target "$work/packages" >&2 &&
    mv "$work/packages/nvidia/cu13/lib" "$work/lib" && touch "$work/lib/complete" && rm -rf "$folder" &&
    mv "$work/lib" "$folder" && rm -rf "$work"
}

# ensure_cublas FOLDER: leaves links to the library in the program's folder, unless the system finds one by itself. Without
# it the program's own kernels multiply, slower, so what goes wrong here is said and no more.
ensure_cublas() {
  local to=$1 folder name
  # Not through a pipe: grep ends at the first line that it wants, and ldconfig would end by a signal.
  [[ $(ldconfig -p 2> /dev/null || true) != *libcublas.so.1[23]\ * ]] || return 0
  [ "$(uname -m)" = x86_64 ] || return 0
  for folder in "${CUDA_HOME:-/nowhere}"/{lib64,lib,targets/x86_64-linux/lib} ""; do
    [ ! -e "$folder/libcublas.so.13" ] || [ ! -e "$folder/libcublasLt.so.13" ] || break
  done
  if [ -z "$folder" ]; then
    folder=$glassbox_cache/cublas/$(sha256sum < "$glassbox_root/app/setup/requirements-cublas.txt" | cut -c 1-16)
    [ -e "$folder/complete" ] || with_lock cublas fetch_cublas "$folder" || {
      say "cuBLAS could not be downloaded (see above); it goes on without it, with the program's own kernels."
      return 0
    }
  fi
  mkdir -p "$to"
  for name in libcublas.so.13 libcublasLt.so.13; do ln -sfn "$folder/$name" "$to/$name"; done
}
