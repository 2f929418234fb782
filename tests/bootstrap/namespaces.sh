#!/bin/bash
# Ranks on two "hosts" (network namespaces joined by a cable) meet at an address and in a store.
# Usage: namespaces.sh path-to-bootstrap_rank
set -u
program=$1
a=paceline-a-$$
b=paceline-b-$$
work=$(mktemp -d)
cleanup() {
  ip netns del "$a" 2>/dev/null
  ip netns del "$b" 2>/dev/null
  rm -rf "$work"
}
trap cleanup EXIT

ip netns add "$a" 2>/dev/null && ip netns add "$b" || { echo "no network namespaces here"; exit 77; }
ip -n "$a" link add eth0 type veth peer name eth0 netns "$b" || { echo "no veth here"; exit 77; }
for side in "$a 1" "$b 2"; do
  set -- $side
  ip -n "$1" addr add "10.77.0.$2/24" dev eth0
  ip -n "$1" addr add "fd77::$2/64" dev eth0 nodad
  ip -n "$1" link set lo up
  ip -n "$1" link set eth0 up
done

# Two ranks on either side; all must say "ready" and must not fail.
meet() {
  local what=$1 root=$2
  local pids=() status=0 rank space
  for rank in 0 1 2 3; do
    space=$a
    [ $((rank % 2)) = 1 ] && space=$b
    # Its standard input stays open for two seconds, then it leaves.
    sleep 2 | ip netns exec "$space" "$program" $rank 4 "$root" 10000 "${@:3}" \
      >"$work/$rank" 2>&1 &
    pids+=($!)
  done
  wait "${pids[@]}"
  for rank in 0 1 2 3; do
    if [ "$(cat "$work/$rank")" != ready ]; then
      echo "$what: rank $rank said: $(cat "$work/$rank")"
      status=1
    fi
  done
  [ $status = 0 ] && echo "$what: all four met"
  return $status
}

failed=0
meet "IPv4 root" 10.77.0.1:5000 "the secret of this job" || failed=1
meet "IPv6 root" "[fd77::1]:5000" "the secret of this job" || failed=1
meet "store" "$work/store" || failed=1
exit $failed
