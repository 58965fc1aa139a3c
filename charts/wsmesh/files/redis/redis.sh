#!/bin/sh
# What the containers of a Redis pod run.
#
#   redis.sh start    Redis, with the password of the Secret
#   redis.sh keep     the keeper: gives Redis the password of the Secret when it changed, and its certificate
#   redis.sh ready    whether Redis answers questions
#   redis.sh alive    whether Redis does anything at all; what it answers does not matter
#
# Redis never sees a password, only SHA-256 sums of those that count, so no character of a password needs quoting and none is an
# argument or in the environment. A changed password counts beside the one before it for OVERLAP seconds. A Redis that starts after the
# change never knew the one before it: the Secret may name it beside the new one (previous-password). Nothing here restarts Redis.
set -eu
umask 077

run=${RUN_FOLDER:-/run/redis}              # in memory; shared by Redis and the keeper
config=${CONFIG_FOLDER:-/etc/redis}
password=${PASSWORD_FILE-/etc/wsmesh/redis/password} # empty: no password
previous=${password%/*}/previous-password  # counts as long as it is there, too
certificates=${TLS_FOLDER-}                # empty: no TLS
overlap=${OVERLAP:-600}
pause=${PAUSE:-5}

socket=$run/redis.sock
accepted=$run/accepted                     # a line per password that counts: its sum, and the uptime at which it ends (0: never)
keeper=$run/keeper                         # the keeper's own password, made anew with every start of Redis

cr=$(printf '\r')
said=''

# sum_of FILE: the sum of the password in it. Line ends at its end are not part of it, as for the services. Empty if there is none.
sum_of() {
  text=$(cat "$1" 2>/dev/null) || return 0
  while [ "$text" != "${text%"$cr"}" ]; do text=$(printf %s "${text%"$cr"}"); done
  if [ -z "$text" ]; then return 0; fi
  sum=$(printf %s "$text" | sha256sum)
  echo "${sum%% *}"
}

# Seconds since the machine started: no clock that is set can end a password too early or keep it.
uptime_seconds() {
  read -r seconds _ </proc/uptime
  echo "${seconds%%.*}"
}

# Writes down which passwords count now: the current one, and those before it until their time is over and the Secret names them no more.
write_accepted() {
  current=$1 named=$(sum_of "$previous") now=$(uptime_seconds)
  touch "$accepted"
  {
    echo "$current 0"
    {
      cat "$accepted"
      if [ -n "$named" ] && ! grep -q "^$named " "$accepted"; then echo "$named 0"; fi
    } | while read -r sum end; do
      if [ "$sum" = "$current" ]; then continue; fi
      if [ "$end" = 0 ]; then end=$((now + overlap)); fi
      if [ "$end" -gt "$now" ] || [ "$sum" = "$named" ]; then echo "$sum $end"; fi
    done
  } >"$accepted.$role"
  mv "$accepted.$role" "$accepted"
}

# Those passwords as rules of an ACL user.
rules() {
  while read -r sum _; do printf ' #%s' "$sum"; done <"$accepted"
}

# Asks Redis over its socket, as the user in the environment. A hung Redis must not hang who asks.
ask() {
  timeout "${patience:-2}" "$(command -v redis-cli || command -v valkey-cli)" -s "$socket" "$@"
}

start() {
  server=$(command -v redis-server || command -v valkey-server)
  version=$("$server" --version | sed 's/.*[ =]v=\([0-9]*\).*/\1/')
  {
    cat "$config/redis.conf"
    # Redis 6 refuses to start with a setting that it does not know.
    if [ "$version" -ge 7 ]; then cat "$config/redis-7.conf"; fi
    echo "unixsocket $socket"
    echo "unixsocketperm 700"
    if [ -n "$password" ]; then
      current=$(sum_of "$password")
      if [ -z "$current" ]; then
        echo "$password has no password: put one under the key 'password' of the Secret" >&2
        exit 64
      fi
      write_accepted "$current"
      echo "user default on ~* &* +@all$(rules)"
    fi
    if [ -n "$password$certificates" ]; then
      head -c 32 /dev/urandom | sha256sum | cut -d' ' -f1 >"$keeper.new"
      sum=$(printf %s "$(cat "$keeper.new")" | sha256sum)
      mv "$keeper.new" "$keeper"
      echo "user keeper on +ping +acl|setuser ${certificates:++config|set }#${sum%% *}"
    fi
  } >"$run/redis.conf"
  exec "$server" "$run/redis.conf"
}

# One look of the keeper: has something changed that Redis does not know yet?
look() {
  # Redis has not started yet.
  if [ ! -s "$keeper" ]; then return 0; fi
  REDISCLI_AUTH=$(cat "$keeper")
  export REDISCLI_AUTH
  if [ -n "$password" ]; then
    current=$(sum_of "$password")
    if [ -z "$current" ]; then
      say "empty" "the password is empty or cannot be read: Redis keeps the one that it has"
    else
      write_accepted "$current"
      tell "$REDISCLI_AUTH$(rules)" accepts "the passwords that count now ($(wc -l <"$accepted" | tr -d ' '))"
    fi
  fi
  if [ -n "$certificates" ]; then
    tell "$REDISCLI_AUTH$(cat "$certificates/tls.crt" "$certificates/tls.key" | sha256sum)" reads_certificate "the certificate"
  fi
}

# tell STATE COMMAND WHAT: runs it if Redis was not told of this state yet. What fails is tried again with the next look.
tell() {
  told=$run/told-$2
  if [ "$(cat "$told" 2>/dev/null)" = "$1" ]; then return 0; fi
  answer=$("$2" 2>&1) || answer=${answer:-"no answer within 2 s"}
  if [ "$answer" != OK ]; then
    say "$answer" "Redis does not know $3 yet, next attempt in $pause s: $answer"
    return 0
  fi
  said=''
  say "" "Redis knows $3"
  echo "$1" >"$told"
}

accepts() {
  # One command, so there is no moment at which no password counts. Connections that are open stay open.
  # shellcheck disable=SC2046 # each rule is an argument
  ask --user keeper acl setuser default resetpass $(rules)
}

reads_certificate() {
  # Redis reads all of its TLS files again.
  ask --user keeper config set tls-cert-file "$certificates/tls.crt"
}

# say KIND TEXT: logs a line, but the same trouble only once.
say() {
  if [ -n "$1" ] && [ "$1" = "$said" ]; then return 0; fi
  said=$1
  echo "keeper: $2"
}

keep() {
  trap 'exit 0' TERM INT
  while true; do
    look
    sleep "$pause" &
    wait $!
  done
}

ready() {
  # A Redis that wants a password answers as well, so the probe needs none.
  ask ping 2>/dev/null | grep -qE '^(PONG|NOAUTH)'
}

alive() {
  # Any answer will do: too many clients, a long script. Only silence is no life; `timeout` ends with 124 or 143 then. Without free CPU
  # an answer takes its time.
  patience=8
  ask ping >/dev/null 2>&1 || [ $? -lt 124 ]
}

role=${1:-}
case $role in
start | keep | ready | alive) "$role" ;;
*) echo "usage: redis.sh start|keep|ready|alive" >&2; exit 64 ;;
esac
