#!/usr/bin/env bash
# Makes sure that a program is installed: on Debian and its derivatives it installs it, elsewhere it says what to install.
#
#   need.sh PROGRAM "DEBIAN PACKAGES" "WHAT IT IS"
set -euo pipefail
program=$1 packages=$2 what=$3
# Debian installs servers into /usr/sbin
PATH=$PATH:/usr/sbin:/usr/local/sbin
if command -v "$program" >/dev/null; then exit 0; fi

if command -v apt-get >/dev/null; then
  sudo=()
  if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo >/dev/null; then
      echo "$program is missing: it is $what. As root: apt-get install $packages" >&2
      exit 1
    fi
    sudo=(sudo)
  fi
  echo "installing $packages" >&2
  "${sudo[@]}" apt-get update -qq >/dev/null || true
  read -ra list <<<"$packages"
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${list[@]}" >/dev/null
  command -v "$program" >/dev/null && exit 0
fi
echo "$program is missing: it is $what. Debian and Ubuntu: apt-get install $packages. macOS: brew install ${program%-server}. Then run this again." >&2
exit 1
