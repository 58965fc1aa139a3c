#!/usr/bin/env bash
# Runs the script of the chart's Redis pods with a real Redis on this machine: the start, the keeper, and the probes, as rendered into
# the ConfigMap. It changes passwords and a certificate under a running Redis, stops it with SIGSTOP, and lets subscribers stall.
#
#   keeper-test.sh                          HELM=helm SHELL_UNDER_TEST=sh (also "busybox sh")
set -euo pipefail
cd "$(dirname "$0")/../.."
helm=${HELM:-helm}
read -ra shell <<<"${SHELL_UNDER_TEST:-sh}"
for tool in "$helm" redis-server redis-cli openssl timeout; do
  command -v "$tool" >/dev/null || { echo "$tool is missing" >&2; exit 1; }
done

work=$(mktemp -d)
started=()
cleanup() {
  local code=$?
  for pid in "${started[@]}"; do kill -CONT "$pid" 2>/dev/null || true; kill -KILL "$pid" 2>/dev/null || true; done
  { wait; } 2>/dev/null
  if ((code != 0)); then tail -n 20 "$work"/*.log >&2 || true; fi
  rm -rf "$work"
  exit "$code"
}
trap cleanup EXIT
passed=0
ok() { passed=$((passed + 1)); echo "ok $passed - $*"; }
fail() { echo "FAILED: $*" >&2; exit 1; }

# config FOLDER VALUES…: writes the files of the ConfigMap into the folder, as the chart renders them.
config() {
  local folder=$1 file line=
  shift
  mkdir -p "$folder"
  "$helm" template wsmesh charts/wsmesh --kube-version 1.34.0 --show-only templates/redis/configmap.yaml \
    --set redis.auth.existingSecret=a,wsNode.jwt.existingSecret=b,admin.token.existingSecret=c "$@" >"$folder.yaml"
  file=
  while IFS= read -r line; do
    case $line in
    '  '[a-z]*': |') file=${line%': |'}; file=$folder/${file#  }; : >"$file" ;;
    '    '* | '') if [ -n "$file" ]; then printf '%s\n' "${line#    }" >>"$file"; fi ;;
    *) file= ;;
    esac
  done <"$folder.yaml"
  cmp -s <(sed 's/[[:space:]]*$//' charts/wsmesh/files/redis/redis.sh) <(sed -e 's/[[:space:]]*$//' -e :a -e '/^\n*$/{$d;N;ba' -e '}' "$folder/redis.sh") ||
    fail "the script in the ConfigMap differs from files/redis/redis.sh"
}

# A port that nobody listens on now.
free_port() {
  local port
  while true; do
    port=$((20000 + RANDOM % 12000))
    (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
  done
  echo "$port"
}

# pod NAME PASSWORDFILE TLSFOLDER VALUES…: sets what both containers of a pod have in common.
pod() {
  pod=$work/$1 port=$(free_port)
  export PASSWORD_FILE=$2 TLS_FOLDER=$3 OVERLAP=8 PAUSE=0.2 RUN_FOLDER=$pod/run CONFIG_FOLDER=$pod/config
  shift 3
  mkdir -p "$pod/run"
  config "$pod/config" "$@"
  sed -i "s#6379#$port#; s#/run/redis#$pod/run#; s#/etc/wsmesh/tls#$TLS_FOLDER#" "$pod/config/redis.conf"
}
script() { "${shell[@]}" "$CONFIG_FOLDER/redis.sh" "$@"; }
container() {
  "${shell[@]}" "$CONFIG_FOLDER/redis.sh" "$1" >>"$pod.$1.log" 2>&1 &
  pid=$!
  started+=("$pid")
}
# ends PID: as the kubelet does.
ends() {
  kill -TERM "$1"
  wait "$1" 2>/dev/null || true
}

# eventually WHAT COMMAND…: asks until it is so.
eventually() {
  local what=$1 end=$((SECONDS + 30))
  shift
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < end)) || fail "not in time: $what"
    sleep 0.1
  done
  ok "$what"
}
not() { ! "$@" >/dev/null 2>&1; }
accepts() { [ "$(REDISCLI_AUTH=$1 redis-cli -p "$port" "${tls[@]}" ping 2>/dev/null)" = PONG ]; }
# A new value as the kubelet brings it: in one moment.
write() { printf '%s' "$1" >"$2.new"; mv "$2.new" "$2"; }
tls=()

echo "# passwords"
mkdir "$work/secret"
hard="a'b\"c \$(d) \\ %s #é"
write "$hard"$'\r\n' "$work/secret/password"
pod one "$work/secret/password" ""
container keep
container start
redis=$pid
eventually "Redis is ready, and the probe needs no password" script ready
eventually "a password with quotes, spaces and a line end counts" accepts "$hard"
not accepts "wrong" || fail "a wrong password counts"
grep -rqF "$hard" "$pod/run" && fail "the password was written to a file"
ok "only sums of passwords are written"

write new "$work/secret/password"
eventually "a changed password counts without a restart" accepts new
accepts "$hard" || fail "the one before it does not count any more"
ok "the one before it counts as well"
script ready || fail "the change made the pod unready"
ok "the change does not make the pod unready"
eventually "after the overlap the one before it ends" not accepts "$hard"
accepts new || fail "the current one ended, too"
ok "and the current one stays"

write "" "$work/secret/password"
eventually "an empty password is told" grep -q "empty or cannot be read" "$pod.keep.log"
accepts new || fail "an empty password replaced the one before"
not accepts "" || fail "no password counts"
ok "an empty password changes nothing"
[ "$(redis-cli -p "$port" ping)" != PONG ] || fail "Redis is open"
ok "Redis is never open"

write third "$work/secret/password"
eventually "a third password counts" accepts third
ends "$redis"
container start
redis=$pid
eventually "Redis that was started again takes the current password" accepts third
eventually "and for the rest of the overlap, or not at all, the one before it" not accepts new
write fourth "$work/secret/password"
eventually "the keeper talks to the new Redis" accepts fourth
keeper=$(cat "$pod/run/keeper")
[ "$(REDISCLI_AUTH=$keeper redis-cli -p "$port" --user keeper get x 2>&1 | cut -c1-6)" = NOPERM ] || fail "the keeper may read"
[ "$(REDISCLI_AUTH=$keeper redis-cli -p "$port" --user keeper publish x y 2>&1 | cut -c1-6)" = NOPERM ] || fail "the keeper may publish"
ok "the keeper may do nothing else"

echo "# a Redis that starts while servers still have the password before"
mkdir "$work/both"
write new "$work/both/password"
write $'old\n' "$work/both/previous-password"
one=$pod one_port=$port
pod late "$work/both/password" ""
container keep
late_keeper=$pid
container start
eventually "takes the current password" accepts new
accepts old || fail "the previous password does not count"
ok "and the one that the Secret names as the previous one"
not accepts "" || fail "no password counts"
grep -q "^user default .*#.*#.*#" "$pod/run/redis.conf" && fail "a password counts twice"
late_since=$SECONDS
while ((SECONDS - late_since <= OVERLAP + 1)); do
  accepts old || fail "the previous password ended although the Secret still names it"
  sleep 0.5
done
ok "the previous one counts beyond the overlap, as long as the Secret names it"
rm "$work/both/previous-password"
eventually "and ends when the Secret does not name it any more" not accepts old
accepts new || fail "the current one ended, too"
write new "$work/both/previous-password"
write newer "$work/both/password"
eventually "a rotation with the previous password in the Secret counts, too" accepts newer
accepts new || fail "the one before it does not count"
write "" "$work/both/previous-password"
write other "$work/both/password"
eventually "an empty previous password is none" accepts other
[ "$(redis-cli -p "$port" ping)" != PONG ] || fail "Redis is open"
write other "$work/both/previous-password"
eventually "the same one twice counts once" [ -z "$(cut -d' ' -f1 "$pod/run/accepted" | sort | uniq -d)" ]
accepts other || fail "the password ended"
ends "$late_keeper"
ends "$pid"
pod=$one port=$one_port
export PASSWORD_FILE=$work/secret/password RUN_FOLDER=$pod/run CONFIG_FOLDER=$pod/config

echo "# a Redis that hangs"
script alive || fail "a live Redis counts as dead"
kill -STOP "$redis"
before=$SECONDS
not script ready || fail "a hung Redis is ready"
not script alive || fail "a hung Redis is alive"
((SECONDS - before <= 20)) || fail "the probes took $((SECONDS - before)) s"
ok "is neither ready nor alive, and the probes end"
write fifth "$work/secret/password"
eventually "the keeper says that it gets no answer" grep -q "no answer within 2 s" "$pod.keep.log"
kill -CONT "$redis"
eventually "and tells it once it goes on" accepts fifth
REDISCLI_AUTH=fifth redis-cli -p "$port" config set maxclients 1 >/dev/null
# The only place is taken.
(REDISCLI_AUTH=fifth exec redis-cli -p "$port" subscribe full >/dev/null) &
started+=($!)
eventually "a Redis that is full is alive" script alive

echo "# stalled subscribers"
write fifth "$work/secret/password"
ends "$redis"
container start
redis=$pid
eventually "Redis is ready again" script ready
export REDISCLI_AUTH=fifth
for n in $(seq 12); do
  redis-cli -p "$port" subscribe flood >/dev/null &
  subscriber=$!
  started+=("$subscriber")
  until [ "$(redis-cli -p "$port" pubsub numsub flood | tail -1)" = "$n" ]; do sleep 0.05; done
  kill -STOP "$subscriber"
done
head -c 1000000 /dev/zero | tr '\0' x >"$work/megabyte"
for _ in $(seq 80); do redis-cli -p "$port" -x publish flood <"$work/megabyte" >/dev/null; done
evicted=$(redis-cli -p "$port" info stats | sed -n 's/^evicted_clients:\([0-9]*\).*/\1/p')
peak=$(redis-cli -p "$port" info memory | sed -n 's/^used_memory_peak:\([0-9]*\).*/\1/p')
rss=$(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$redis/status")
unset REDISCLI_AUTH
echo "# evicted $evicted, peak $((peak >> 20)) MiB, resident $((rss >> 10)) MiB"
((rss >> 10 < 512)) || fail "12 stalled subscribers need more than the container's limit of 512 MiB"
ok "12 of them stay below the container's memory limit"
ends "$redis"

echo "# TLS"
certificate() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$work/tls/tls.key" -out "$work/tls/tls.crt" \
    -subj "/CN=$1" -addext "subjectAltName=DNS:localhost,IP:127.0.0.1" -days 2 2>/dev/null
  cp "$work/tls/tls.crt" "$work/tls/ca.crt"
}
mkdir "$work/tls"
certificate first
write secret "$work/secret/password"
pod two "$work/secret/password" "$work/tls" --set redis.tls.existingSecret=x
tls=(--tls --cacert "$work/tls/ca.crt")
container keep
container start
redis=$pid
eventually "Redis is ready with TLS, and the probe needs no certificate" script ready
eventually "a client comes in by TLS" accepts secret
subject() { openssl s_client -connect "127.0.0.1:$port" </dev/null 2>/dev/null | grep -q "CN *= *$1"; }
certificate second
eventually "a renewed certificate is shown without a restart" subject second
eventually "and counts" accepts secret

echo "# without a password"
pod three "" "" --set redis.auth.enabled=false,redis.auth.existingSecret=
tls=()
container start
eventually "Redis without a password is ready" script ready
eventually "and lets everyone in" accepts ""
[ ! -e "$pod/run/keeper" ] || fail "there is a keeper's password"
ok "it has no keeper"

echo "# an image that has Valkey and little else"
mkdir "$work/bin"
for tool in sh cat cut grep head mv sed sha256sum sleep timeout touch tr wc; do ln -s "$(command -v "$tool")" "$work/bin/"; done
ln -s "$(command -v redis-cli)" "$work/bin/valkey-cli"
server=$(command -v redis-server)
cat >"$work/bin/valkey-server" <<END
#!/bin/sh
if [ "\$1" = --version ]; then echo "Valkey server v=8.1.3 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=0"; exit; fi
exec "$server" "\$@"
END
chmod +x "$work/bin/valkey-server"
write valkey "$work/secret/password"
pod four "$work/secret/password" ""
shell=("$work/bin/sh")
little() { PATH=$work/bin "$@"; }
little container keep
little container start
eventually "Valkey is ready" little script ready
eventually "its password counts" accepts valkey
write changed "$work/secret/password"
eventually "a changed one, too" accepts changed
little script alive || fail "a live Valkey counts as dead"
ok "it is alive"

if PASSWORD_FILE=$work/missing script start >"$pod.log" 2>&1; then fail "Redis starts without its password"; fi
grep -q "has no password" "$pod.log" || fail "it does not say what is missing"
ok "a Secret without a password is refused, with a sentence"

echo "$passed passed, 0 failed"
