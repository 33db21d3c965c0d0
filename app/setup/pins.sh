# What is downloaded, exactly. The packages' own hashes stand in requirements-*.txt beside this file.
# shellcheck shell=bash disable=SC1091,SC2034,SC2154

bundle_name=imgui_bundle-1.93.0

model_file=SmolLM2-135M-Instruct.Q4_1.gguf
model_bytes=98362432
model_sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
