# Packages of Debian or Ubuntu. apt is asked only when dpkg says that something is missing.
# shellcheck shell=bash disable=SC1091,SC2034,SC2154

build_packages=(
  g++ cmake ninja-build ccache python3 python3-venv
  nlohmann-json3-dev libcli11-dev libutf8proc-dev libglfw3-dev libfreetype-dev libgl-dev libopengl-dev libegl-dev
)
# What the window asks for while it runs: Mesa's drivers (they also draw without a graphics card), the X libraries
# that GLFW looks for by name, and the fonts of assets/fonts.txt.
run_packages=(
  libgl1 libopengl0 libegl1 libgl1-mesa-dri
  libx11-6 libxcursor1 libxi6 libxinerama1 libxrandr2 libxrender1
  fonts-inter fonts-jetbrains-mono fonts-wqy-microhei fonts-symbola
)
test_packages=(xvfb)

as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  else
    sudo "$@"
  fi
}

# The version of a package if it is installed, else nothing.
installed_version() {
  { dpkg-query -W -f '${db:Status-Status} ${Version}\n' "$1" 2>/dev/null || true; } |
    awk '$1 == "installed" { print $2; exit }'
}

# missing_packages NAME...: those that are not installed, one a line. One dpkg-query for all: it must cost nothing.
missing_packages() {
  local have
  have=$({ dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null || true; } |
    awk '$1 == "installed" { print $2 }')
  printf '%s\n' "$@" | grep -vxF -f <(printf '%s\n' "$have" | sed '/^$/d') || true
}

apt_run() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 "$@" >&2
}

require_root_for() {
  if [ "$(id -u)" -ne 0 ] && ! command -v sudo > /dev/null; then
    fail "packages are missing, and this is neither root nor a user with sudo." \
      "Ask the administrator for:  apt-get install $*" "then run this again."
  fi
}

# Sources that cannot be reached are apt's business: what matters is whether the packages can be had afterwards.
apt_update() {
  say "refreshing the package lists (apt-get update)"
  apt_run update || say "some package sources could not be refreshed; going on with the others"
}

apt_install() {
  say "installing: $*"
  apt_run install --no-install-recommends "$@" ||
    fail "apt could not install: $*" \
      "Look at its message above. Usual causes: no network, a proxy that apt does not know, a full disk, or a release" \
      "older than Debian 12 or Ubuntu 24.04, which lacks some of these. Mend it and run this again: it goes on from here."
}

ensure_packages() {
  local missing
  if ! command -v dpkg-query > /dev/null; then
    [ -e "$glassbox_cache/no-apt-told" ] && return 0
    mkdir -p "$glassbox_cache" && touch "$glassbox_cache/no-apt-told"
    say "this is neither Debian nor Ubuntu: nothing is installed for you. What the build needs, by its Debian names:"
    say "  $*"
    return 0
  fi
  mapfile -t missing < <(missing_packages "$@")
  [ "${#missing[@]}" -eq 0 ] && return 0
  require_root_for "${missing[@]}"
  apt_update
  apt_install "${missing[@]}"
}

# What apt would have to install to bring Catch2 3, as NAME=VERSION, or nothing. Releases differ in the package's name.
available_catch2() {
  local name version
  for name in catch2 libcatch2-dev; do
    version=$(apt-cache madison "$name" 2>/dev/null | awk -F'|' '{ gsub(/ /, "", $2); print $2 }' | sort -rV |
      sed -n 1p)
    if [ -n "$version" ] && dpkg --compare-versions "$version" ge 3; then
      printf '%s=%s\n' "$name" "$version"
      return 0
    fi
  done
}

# Writes the machine's own entry for its release once more, with the suite name of that release's backports. Knows
# the two formats of apt's sources; options, keys and mirror stay as they are. Prints what it found to standard output.
backports_entry_deb822() { # CODENAME FILE...
  local codename=$1
  shift
  awk -v codename="$codename" '
    function field(name,   i, value, taken) {
      for (i = 1; i <= NF; ++i) {
        if (tolower(substr($i, 1, length(name) + 1)) == name ":") { value = substr($i, length(name) + 2); taken = 1 }
        else if (taken && $i ~ /^[ \t]/) value = value " " $i
        else taken = 0
      }
      return " " value " "
    }
    BEGIN { RS = ""; FS = "\n" }
    {
      if (field("types") !~ / deb / || field("suites") !~ (" " codename " ") || field("components") !~ / main /) next
      if (tolower(field("enabled")) ~ / no /) next
      for (i = 1; i <= NF; ++i) {
        if ($i ~ /^#/) continue
        key = tolower($i)
        if (key ~ /^types:/) { print "Types: deb"; replaced = 1 }
        else if (key ~ /^suites:/) { print "Suites: " codename "-backports"; replaced = 1 }
        else if (key !~ /^[ \t]/) { print $i; replaced = 0 }
        else if (!replaced) print $i # the continuation of a field that stays as it is
      }
      exit
    }' "$@"
}

backports_entry_one_line() { # CODENAME FILE...
  local codename=$1
  shift
  awk -v codename="$codename" '
    $1 != "deb" { next }
    {
      suite = 3
      if ($2 ~ /^\[/) {
        for (suite = 2; suite <= NF && $suite !~ /\]$/; ++suite) {}
        suite += 2
      }
      has_main = 0
      for (i = suite + 1; i <= NF; ++i) if ($i == "main") has_main = 1
      if ($suite != codename || !has_main) next
      $suite = codename "-backports"
      print
      exit
    }' "$@"
}

add_backports() { # CODENAME
  local codename=$1 entry
  local deb822=(/etc/apt/sources.list.d/*.sources) lines=(/etc/apt/sources.list /etc/apt/sources.list.d/*.list)
  local found=() file
  for file in "${deb822[@]}"; do [ -r "$file" ] && found+=("$file"); done
  if [ "${#found[@]}" -gt 0 ]; then
    # awk's paragraph mode would join two files that do not end in an empty line
    entry=$(backports_entry_deb822 "$codename" <(for file in "${found[@]}"; do cat "$file"; printf '\n\n'; done))
    if [ -n "$entry" ]; then
      say "adding the suite $codename-backports, from the machine's own source entry (for Catch2 3)"
      printf '%s\n' "$entry" | as_root tee /etc/apt/sources.list.d/glassbox-backports.sources > /dev/null
      return 0
    fi
  fi
  found=()
  for file in "${lines[@]}"; do [ -r "$file" ] && found+=("$file"); done
  if [ "${#found[@]}" -gt 0 ]; then
    entry=$(backports_entry_one_line "$codename" "${found[@]}")
    if [ -n "$entry" ]; then
      say "adding the suite $codename-backports, from the machine's own source entry (for Catch2 3)"
      printf '%s\n' "$entry" | as_root tee /etc/apt/sources.list.d/glassbox-backports.list > /dev/null
      return 0
    fi
  fi
  return 1
}

# Catch2 3: Debian 12 has it in its backports, newer releases in the main archive.
ensure_catch2() {
  local name version package codename
  command -v dpkg-query > /dev/null || return 0
  for name in catch2 libcatch2-dev; do
    version=$(installed_version "$name")
    if [ -n "$version" ] && dpkg --compare-versions "$version" ge 3; then return 0; fi
  done
  require_root_for catch2
  package=$(available_catch2)
  if [ -z "$package" ]; then
    apt_update
    package=$(available_catch2)
  fi
  if [ -z "$package" ]; then
    codename=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-}")
    if [ -n "$codename" ] && add_backports "$codename"; then
      apt_update
      package=$(available_catch2)
    fi
  fi
  [ -n "$package" ] ||
    fail "Catch2 3 is in none of this machine's package sources, and the tests are written with it." \
      "On Debian 12 enable the suite bookworm-backports; newer Debian and Ubuntu have it in the main archive."
  apt_install "$package"
}
