# What quickstart and check share. Messages go to stderr.
say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }
fail() {
  printf '\033[1;31mfailed:\033[0m %s\n' "$*" >&2
  exit 1
}

# Two gigabytes a compiler process; fewer jobs than cores where memory is short.
build_jobs() {
  local cores memory_gib
  cores=$(nproc)
  memory_gib=$(awk '/MemAvailable/ {print int($2 / 1048576)}' /proc/meminfo)
  local jobs=$((memory_gib / 2 < cores ? memory_gib / 2 : cores))
  echo $((jobs > 0 ? jobs : 1))
}

# build PRESET TESTS [TARGET...]: configures with or without tests (ON, OFF) and builds, quiet
# unless it fails.
build() {
  local preset=$1 tests=$2 log="build/$1.log"
  shift 2
  mkdir -p build
  say "building ($preset; the log is $log)"
  cmake --preset "$preset" -DLANTERN_TESTS="$tests" >"$log" 2>&1 || {
    tail -n 30 "$log" >&2
    fail "cmake could not configure: see $log"
  }
  local status=0
  if [ -t 2 ]; then
    NINJA_STATUS="    [%f/%t] " ninja -C "build/$preset" -j "$(build_jobs)" "$@" 2>&1 | tee -a "$log" |
      while IFS= read -r line; do case $line in *"["*/*"]"*) printf '\r\033[K%.100s' "$line" >&2 ;; esac; done
    status=${PIPESTATUS[0]}
    printf '\r\033[K' >&2
  else
    ninja -C "build/$preset" -j "$(build_jobs)" "$@" >>"$log" 2>&1 || status=$?
  fi
  if [ "$status" -ne 0 ]; then
    grep -E 'error|FAILED|undefined' "$log" | head -n 20 >&2
    fail "the build failed: see $log"
  fi
}
