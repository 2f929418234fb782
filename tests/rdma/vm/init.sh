#!/bin/busybox sh
# The first process of the machine. Loads the modules, lays a writable layer in memory over the
# host's files, puts one software RDMA device up (as /settings says) and runs /command in there. Its
# output goes through two virtio ports and its exit code through a third; everything said here goes
# to the console.
export PATH=/bin
. /settings # device, address, interface, host
bb=/bin/busybox

fail() {
  echo "guest: $*"
  $bb reboot -f
}

$bb mount -t proc none /proc
$bb mount -t sysfs none /sys
$bb mount -t devtmpfs none /dev
while read -r module; do
  $bb insmod "/modules/$module" || echo "guest: module $module does not load"
done < /modules/order

# The host does not change under us while a test runs, so everything may be cached. 500 KiB a
# message: every 4 KiB would be a round trip to the host.
$bb mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose,msize=512000 hostroot /lower ||
  fail "cannot mount the host's files"
$bb mount -t tmpfs -o mode=0755 none /layer
$bb mkdir /layer/upper /layer/work
$bb mount -t overlay -o lowerdir=/lower,upperdir=/layer/upper,workdir=/layer/work none /host ||
  fail "cannot lay a writable layer over the host's files"
$bb mount -t proc none /host/proc
$bb mount -t sysfs none /host/sys
$bb mount -t devtmpfs none /host/dev
$bb mkdir -p /host/dev/pts /host/dev/shm
$bb mount -t devpts -o mode=0620,ptmxmode=0666 none /host/dev/pts
$bb mount -t tmpfs -o mode=1777 none /host/dev/shm
$bb mount -t tmpfs -o mode=0755 none /host/run
$bb ln -sf /proc/self/fd /host/dev/fd
$bb hostname "paceline-vm$host"
echo "127.0.0.1 localhost paceline-vm$host" > /host/etc/hosts
: > /host/etc/resolv.conf

# MTU 4200 makes room for RoCE's largest packet, 4096 and headers. A machine that is alone has a veth
# pair (rxe refuses lo), and all processes on the one device talk to each other.
# With a full path: busybox would take its own programs before the host's.
in_host() { $bb chroot /host /usr/bin/env PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"; }
if [ "$interface" = v0 ]; then
  in_host ip link add v0 type veth peer name v1 && in_host ip link set v1 mtu 4200 up ||
    fail "cannot make a veth pair"
fi
in_host ip link set lo up &&
  in_host ip link set "$interface" mtu 4200 &&
  in_host ip address add "$address/24" dev "$interface" &&
  in_host ip link set "$interface" up &&
  in_host rdma link add "${device}0" type "$device" netdev "$interface" ||
  fail "cannot make the RDMA device"

$bb cp /command /host/run/paceline-command
echo "guest: up after $($bb cut -d' ' -f1 /proc/uptime) s"
# Ports are numbered as they are found; their names are what is agreed on.
port() {
  for entry in /sys/class/virtio-ports/*; do
    [ "$($bb cat "$entry/name")" = "$1" ] && echo "/dev/${entry##*/}"
  done
}
# The ports can be opened once only, and a program may open its standard output again: so the
# command writes into pipes.
$bb mkfifo /layer/out /layer/err
$bb cat /layer/out > "$(port out)" &
out=$!
$bb cat /layer/err > "$(port err)" &
err=$!
# siw holds root to the limit too.
ulimit -l unlimited
in_host /bin/sh /run/paceline-command < /dev/null > /layer/out 2> /layer/err
code=$?
# What the command has left running may hold the pipes open: end it, but not what drains them.
for process in /proc/[0-9]*; do
  process=${process#/proc/}
  # Kernel threads have an empty command line.
  [ "$process" != 1 ] && [ "$process" != $out ] && [ "$process" != $err ] &&
    [ -n "$($bb tr -d '\0' < /proc/$process/cmdline 2> /dev/null)" ] && $bb kill -9 "$process"
done 2> /dev/null
wait $out $err
echo "exit $code" > "$(port code)"
$bb reboot -f
