#!/usr/bin/env bash
# Schemathesis makes requests of the description of admin's API, right and wrong ones, and checks every answer: no 5xx, nothing that
# the description does not say. Once as a caller of each role, on an admin and a ws-node with a real Redis. Needs Python 3.10 or
# newer, and PyPI the first time. The programs are those in WSMESH_PROGRAMS (target/debug).
#
#   run.sh                   SEED=7 repeats a run; EXAMPLES=200 makes more requests; ROLES="viewer" takes only some roles;
#                            ROLES="clients" is a publisher that may act on clients, as backends are
set -euo pipefail
cd "$(dirname "$0")/../.."
here=$PWD/tests/admin
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
programs=$(realpath "${WSMESH_PROGRAMS:-$target/debug}")
# The servers would take it for a setting.
unset WSMESH_PROGRAMS
venv=$target/schemathesis
seed=${SEED:-$RANDOM}
examples=${EXAMPLES:-5}
PATH=$PATH:/usr/sbin:/usr/local/sbin

# Made again when the libraries change.
if ! cmp --silent "$here/requirements.txt" "$venv/installed.txt"; then
  rm -rf "$venv"
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps -r "$here/requirements.txt"
  cp "$here/requirements.txt" "$venv/installed.txt"
fi

folder=$(mktemp -d)
started=()
end() {
  for process in "${started[@]}"; do kill "$process" 2>/dev/null || true; done
  wait
  rm -rf "$folder"
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

start() { # NAME PROGRAM ARGUMENT …
  "${@:2}" >"$folder/$1.log" 2>&1 &
  started+=($!)
}

ready() { # NAME PORT
  "$venv/bin/python" "$here/ready.py" "$2" || { echo "$1 does not start:" >&2; cat "$folder/$1.log" >&2; exit 1; }
}

read -r redis edge edge_ops api api_ops <<<"$("$venv/bin/python" "$here/ports.py" 5)"
{
  for role in viewer publisher operator clients; do
    token=$role-$(openssl rand -hex 16)
    printf '%s' "$token" >"$folder/$role"
    hash=$(printf '%s' "$token" | sha256sum | cut -d' ' -f1)
    rights="role = \"$role\""
    if [ "$role" = clients ]; then rights=$'role = "publisher"\nclients = true'; fi
    printf '[[tokens]]\nname = "test-%s"\n%s\nsha256 = "%s"\n' "$role" "$rights" "$hash"
  done
} >"$folder/tokens.toml"

start redis redis-server --port "$redis" --bind 127.0.0.1 --save '' --appendonly no
common=(--redis "redis://127.0.0.1:$redis#redis-1" --log-level warn)
start ws-node "$programs/ws-node" "${common[@]}" --profile demo --name ws-node-1 \
  --public-url "ws://127.0.0.1:$edge" --listen "127.0.0.1:$edge" --ops-listen "127.0.0.1:$edge_ops"
start admin "$programs/admin" "${common[@]}" --name admin-1 --tokens-file "$folder/tokens.toml" --trusted-proxies 127.0.0.0/8 \
  --listen "127.0.0.1:$api" --ops-listen "127.0.0.1:$api_ops"
ready ws-node "$edge_ops"
ready admin "$api_ops"

# All at once, each in a process of its own: threads of one are slower, and Python 3.11 does not survive them.
check() { # ROLE
  cd "$folder/of-$1"
  WSMESH_TOKEN=$(cat "$folder/$1") SCHEMATHESIS_HOOKS=$here/hooks.py "$venv/bin/schemathesis" \
    --config-file "$here/schemathesis.toml" run "http://127.0.0.1:$api/openapi.json" --url "http://127.0.0.1:$api" \
    --seed "$seed" --max-examples "$examples" >"$folder/$1.log" 2>&1
}
roles=${ROLES:-viewer publisher operator}
checks=()
for role in $roles; do
  mkdir "$folder/of-$role"
  check "$role" &
  checks+=($!)
done
started+=("${checks[@]}")
passed=0 failed=() number=0
for role in $roles; do
  if wait "${checks[$number]}"; then passed=$((passed + 1)); else failed+=("$role"); fi
  number=$((number + 1))
  printf '\n--- %s, seed %s (repeat: make test-admin SEED=%s ROLES=%s)\n' "$role" "$seed" "$seed" "$role"
  cat "$folder/$role.log"
done
# Whoever asks may not bring it down.
ready admin "$api_ops"

for role in "${failed[@]}"; do echo "test schemathesis as $role (seed $seed) ... FAILED"; done
# As `cargo test` says it: tests/deploy/totals.awk counts these lines.
verdict=$([ ${#failed[@]} = 0 ] && echo ok || echo FAILED)
echo "test result: $verdict. $passed passed; ${#failed[@]} failed; 0 ignored"
if [ ${#failed[@]} != 0 ]; then
  echo "the log of admin:" >&2
  tail -n 20 "$folder/admin.log" >&2
  exit 1
fi
