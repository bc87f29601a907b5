#!/usr/bin/env bash
# A small real Slurm cluster on one machine, for tests: one controller and login host ("ctl") and N compute hosts
# ("node1" … "nodeN"), each in its own network, host-name, ipc, mount and process namespace, joined by a bridge
# inside ctl's namespace. Nothing is created in the machine's own network and no host has a way out of it.
#
#   cluster.sh install            install the Debian packages (nothing to do where they are there)
#   cluster.sh possible           say why there can be no lab here; says nothing where there can
#   cluster.sh up                 bring it up; returns when all nodes are idle
#   cluster.sh down               end every process of it and remove its folder
#   cluster.sh status             0 where every node is up; prints sinfo
#   cluster.sh exec HOST CMD…     run a command on ctl or nodeK (working directory and environment are kept)
#   cluster.sh crash NODE         the whole host dies at once;      boot NODE        brings it back
#   cluster.sh slurmd-kill NODE   slurmd alone dies;                slurmd-start NODE
#   cluster.sh link-down NODE     pull the cable;                   link-up NODE
#
# Settings (environment): SLURM_LAB, its folder; SLURM_LAB_NODES=2, SLURM_LAB_GPUS=2 (fake GPUs a node),
# SLURM_LAB_CPUS=8 (claimed by each node), SLURM_LAB_TIMEOUT=120 (seconds until all nodes must be idle).
# Several labs may be up at once: each has its own folder, and addresses are private to its namespaces.

# shellcheck disable=SC2016  # texts in single quotes are for inner shells
set -euo pipefail

LAB=${SLURM_LAB:-/tmp/slurm-lab}
NODES=${SLURM_LAB_NODES:-2}
GPUS=${SLURM_LAB_GPUS:-2}
CPUS=${SLURM_LAB_CPUS:-8}
TIMEOUT=${SLURM_LAB_TIMEOUT:-120}
NET=10.77.0
PATH=$PATH:/usr/sbin:/sbin
CONF=$LAB/etc/slurm.conf
PACKAGES="slurmctld slurmd slurm-client munge iproute2 util-linux"
if [ -s "$LAB/size" ]; then read -r NODES GPUS CPUS <"$LAB/size"; fi # as it was brought up

say() { printf 'cluster: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
nodes() { local i; for ((i = 1; i <= NODES; i++)); do echo "node$i"; done; }
addr() { case $1 in ctl) echo "$NET.1" ;; node*) echo "$NET.$((10 + ${1#node}))" ;; *) die "no host $1" ;; esac; }

# ---- processes: a pid is ours only while its start time is the one that was noted

starttime() { # the 22nd field; what stands in parentheses may hold spaces
  local s words
  s=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  read -ra words <<<"${s##*) }"
  echo "${words[19]}"
}
note() { echo "$2 $(starttime "$2")" >"$LAB/pid/$1"; }
pid_of() { # the living pid that was noted under a name, or failure
  local p t
  [ -s "$LAB/pid/$1" ] || return 1
  read -r p t <"$LAB/pid/$1"
  [ "$(starttime "$p" || true)" = "$t" ] || return 1
  echo "$p"
}
gone() { # wait until what was noted under a name has ended
  local i
  for ((i = 0; i < 3000; i++)); do
    pid_of "$1" >/dev/null || return 0
    sleep 0.02
  done
  return 1
}
within() { # run a command inside a host's namespaces, in this folder
  local h=$1 p
  shift
  p=$(pid_of "init.$h") || die "host $h is not up"
  nsenter -t "$p" -n -u -i -m -p -- /bin/sh -c 'cd "$0" 2>/dev/null || cd /; exec "$@"' "$PWD" "$@"
}

# ---- what it needs

possible() {
  if [ "$(uname -s)" != Linux ]; then echo "a cluster of namespaces needs Linux"
  elif [ "$(id -u)" != 0 ]; then echo "a cluster of namespaces needs root"
  elif [ -z "$(missing)" ]; then separable || echo "this machine lets root make no namespaces"
  elif ! command -v apt-get >/dev/null; then echo "Slurm is not installed, and without apt-get (Debian) it is not installed here"
  elif ! command -v unshare >/dev/null; then return 0
  else separable || echo "this machine lets root make no namespaces"; fi
}
separable() { unshare --net --uts --ipc --mount --pid --fork --mount-proc --propagation private true 2>/dev/null; }
missing() {
  local p
  for p in $PACKAGES; do
    dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || printf '%s ' "$p"
  done
}
install_packages() {
  [ -z "$(missing)" ] && return 0
  ( # one after the other, where sessions run side by side: an `apt-get update` waits for no other
    flock 9
    read -ra wanted <<<"$(missing)"
    [ ${#wanted[@]} = 0 ] && exit 0
    say "installing ${wanted[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get -o DPkg::Lock::Timeout=120 update -qq >&2
    apt-get -o DPkg::Lock::Timeout=120 install -y -qq --no-install-recommends "${wanted[@]}" >&2
  ) 9>/run/slurm-lab-install.lock
}

# ---- hosts

host_up() { # make the namespaces and plug the host in
  local h=$1 up p i
  pid_of "init.$h" >/dev/null && return 0
  rm -f "$LAB/pid/ready.$h"
  # bash as the host's first process: it reaps orphans, and everything there dies with it
  setsid unshare --net --uts --ipc --mount --pid --fork --kill-child=KILL --mount-proc --propagation private \
    bash -c 'hostname "$1"; mount --bind "$2/etc/hosts" /etc/hosts
             [ -e /etc/resolv.conf ] && mount --bind "$2/etc/resolv.conf" /etc/resolv.conf
             ip link set lo up; : >"$2/pid/ready.$1"
             trap : TERM INT HUP; while :; do sleep 3600 & wait; done' \
    "lab-$h" "$h" "$LAB" </dev/null >>"$LAB/log/$h.log" 2>&1 &
  up=$!
  note "unshare.$h" "$up"
  for ((i = 0; i < 3000; i++)); do
    [ -e "$LAB/pid/ready.$h" ] && break
    sleep 0.02
  done
  [ -e "$LAB/pid/ready.$h" ] || die "host $h did not start: $(cat "$LAB/log/$h.log")"
  read -r p _ <"/proc/$up/task/$up/children" || true # no newline at its end; setsid became unshare, this is its child
  note "init.$h" "${p:?}"
  if [ "$h" = ctl ]; then
    nsenter -t "$p" -n sh -ec 'ip link add br0 type bridge; ip addr add "$0/24" dev br0; ip link set br0 up' "$(addr ctl)"
  else
    nsenter -t "$(pid_of init.ctl)" -n sh -ec \
      'ip link add "v-$0" type veth peer name eth0 netns "$1"; ip link set "v-$0" master br0 up' "$h" "$p"
    nsenter -t "$p" -n sh -ec 'ip addr add "$0/24" dev eth0; ip link set eth0 up' "$(addr "$h")"
  fi
}
host_down() {
  local h=$1 p k
  for k in init unshare; do
    if p=$(pid_of "$k.$h"); then kill -KILL "$p" 2>/dev/null || true; fi
  done
  gone "init.$h" || die "host $h does not end"
  rm -f "$LAB/pid/init.$h" "$LAB/pid/unshare.$h" "$LAB/pid/ready.$h"
  # the pair of interfaces goes with the namespace, but only when the kernel gets to it
  if [ "$h" != ctl ] && p=$(pid_of init.ctl); then
    nsenter -t "$p" -n ip link del "v-$h" 2>/dev/null || true
  fi
}
slurmd_start() { within "$1" slurmd -f "$CONF" -N "$1"; }
slurmd_kill() {
  within "$1" sh -c 'p=$(cat "$0") && kill -KILL "$p" && while kill -0 "$p" 2>/dev/null; do sleep 0.05; done; rm -f "$0"' \
    "$LAB/run/slurmd-$1.pid"
}

# ---- configuration

write_conf() {
  local h i
  mkdir -p "$LAB"/{etc,dev,state,spool,log,run,pid}
  install -d -m 0755 "$LAB/munge"
  install -d -m 0700 "$LAB/munge/key"
  [ -s "$LAB/munge/key/munge.key" ] || (umask 077 && head -c 1024 /dev/urandom >"$LAB/munge/key/munge.key")
  { printf '127.0.0.1 localhost\n::1 localhost\n'
    for h in ctl $(nodes); do echo "$(addr "$h") $h"; done; } >"$LAB/etc/hosts"
  : >"$LAB/etc/resolv.conf"
  # a GPU must be a character device that slurmd can stat: private copies of /dev/null serve
  for ((i = 0; i < GPUS; i++)); do [ -c "$LAB/dev/nvidia$i" ] || mknod -m 666 "$LAB/dev/nvidia$i" c 1 3; done
  : >"$LAB/etc/gres.conf"
  if [ "$GPUS" -gt 0 ]; then
    echo "NodeName=node[1-$NODES] Name=gpu File=$LAB/dev/nvidia[0-$((GPUS - 1))]" >"$LAB/etc/gres.conf"
  fi
  # slurmd loads a cgroup plugin though nothing here uses it, and its own detection fails where none is mounted
  printf 'CgroupPlugin=cgroup/v1\nCgroupAutomount=no\n' >"$LAB/etc/cgroup.conf"
  slurm_conf >"$CONF"
  echo "$NODES $GPUS $CPUS" >"$LAB/size"
}
slurm_conf() { # cred_expire is also how long a requeued job waits before it starts again (default 120 s)
  cat <<E
ClusterName=lab
SlurmctldHost=ctl($(addr ctl))
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$LAB/munge/munge.socket,cred_expire=5
StateSaveLocation=$LAB/state
SlurmdSpoolDir=$LAB/spool/%n
SlurmctldPidFile=$LAB/run/slurmctld.pid
SlurmdPidFile=$LAB/run/slurmd-%n.pid
SlurmctldLogFile=$LAB/log/slurmctld.log
SlurmdLogFile=$LAB/log/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc=$LAB/log/jobcomp.txt
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
GresTypes=gpu
SlurmdParameters=config_overrides
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0,bf_interval=1
PriorityType=priority/basic
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmctldParameters=preempt_send_user_signal
EnforcePartLimits=ALL
JobRequeue=1
ReturnToService=2
SlurmdTimeout=60
SlurmctldTimeout=10
TCPTimeout=2
MessageTimeout=5
BatchStartTimeout=10
KillWait=30
MinJobAge=3600
NodeName=DEFAULT CPUs=$CPUS RealMemory=16000 State=UNKNOWN$([ "$GPUS" -gt 0 ] && echo " Gres=gpu:$GPUS")
$(for h in $(nodes); do echo "NodeName=$h NodeHostname=$h NodeAddr=$(addr "$h")"; done)
PartitionName=DEFAULT Nodes=node[1-$NODES] MaxTime=1-00:00:00 DefaultTime=01:00:00 State=UP
PartitionName=main Default=YES PriorityTier=10 PreemptMode=OFF
PartitionName=low PriorityTier=1 PreemptMode=REQUEUE GraceTime=2
PartitionName=high PriorityTier=100 PreemptMode=OFF
PartitionName=short PriorityTier=10 PreemptMode=OFF MaxTime=00:05:00
E
}

munged_start() { # a munged of our own; its socket is a file, which crosses network namespaces
  local i
  pid_of munged >/dev/null && return 0
  rm -f "$LAB"/munge/munge.socket*
  setsid munged --foreground --key-file="$LAB/munge/key/munge.key" --socket="$LAB/munge/munge.socket" \
    --pid-file="$LAB/munge/munged.pid" --log-file="$LAB/munge/munged.log" \
    --seed-file="$LAB/munge/munged.seed" </dev/null >>"$LAB/log/munged.out" 2>&1 &
  note munged $!
  for ((i = 0; i < 1200; i++)); do
    munge -S "$LAB/munge/munge.socket" -n >/dev/null 2>&1 && return 0
    sleep 0.05
  done
  die "munged did not start: $(tail -3 "$LAB/log/munged.out")"
}

# ---- the verbs

ready() { # every node is idle or at work, and none is flagged
  local n
  n=$(within ctl scontrol -o show nodes 2>/dev/null | grep -cE ' State=(IDLE|MIXED|ALLOCATED) ') || true
  [ "${n:-0}" = "$NODES" ]
}
wait_ready() {
  local t0=$SECONDS
  until ready; do
    [ $((SECONDS - t0)) -lt "$TIMEOUT" ] || { status || true; die "not ready after ${TIMEOUT} s, see $LAB/log"; }
    sleep 0.1
  done
}
up() {
  local h
  install_packages
  if [ -e "$LAB/size" ]; then
    if ready; then return 0; fi
    down
  fi
  write_conf
  munged_start
  for h in ctl $(nodes); do host_up "$h"; done
  within ctl slurmctld -f "$CONF"
  for h in $(nodes); do
    mkdir -p "$LAB/spool/$h"
    slurmd_start "$h"
  done
  wait_ready
}
down() { # nodes first; by what is noted, not by count
  local p f
  for f in "$LAB"/pid/*.node* "$LAB"/pid/*.ctl; do
    if [ -e "$f" ]; then host_down "${f##*.}"; fi
  done
  if p=$(pid_of munged); then
    kill "$p"
    gone munged || kill -KILL "$p" || true
  fi
  if grep -q '^ClusterName=lab$' "$CONF" 2>/dev/null; then rm -rf "$LAB"; fi
}
status() {
  within ctl sinfo -N -o '%8N %10P %8T %8G %30E' || return 2
  ready
}

export SLURM_CONF=$CONF
verb=${1:-}
shift || true
case $verb in
  install) install_packages ;;
  possible) possible ;;
  up) up ;;
  down) down ;;
  status) status ;;
  exec) h=$1; shift; within "$h" "$@" ;;
  crash) host_down "$1" ;;
  boot) host_up "$1"; slurmd_start "$1" ;;
  slurmd-kill) slurmd_kill "$1" ;;
  slurmd-start) slurmd_start "$1" ;;
  link-down) within ctl ip link set "v-$1" down ;;
  link-up) # with SIGHUP slurmd registers at once; without it slurmctld may take 40 s to look again
    within ctl ip link set "v-$1" up
    within "$1" sh -c 'kill -HUP "$(cat "$0")"' "$LAB/run/slurmd-$1.pid" ;;
  *) sed -n '2,20s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
