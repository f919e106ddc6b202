#!/usr/bin/env bash
# A real SLURM on one Debian machine, for the tests: slurmctld, slurmdbd with MariaDB, munge and three
# nodes (n1 n2 n3) with 4 CPUs and 2 pretended GPUs each. Root; no systemd; nothing in /etc is touched.
#
#   cluster.sh install                apt-get install what is needed
#   cluster.sh start|stop|status      start and stop may be repeated; status: 0 up, 1 partly, 3 down
#   eval "$(cluster.sh env)"          what a client (sbatch, squeue, replicate) needs in its environment
#   cluster.sh node-stop|node-kill N  TERM or KILL to slurmd alone; the jobs on node N live on
#   cluster.sh node-crash N           KILL to all that runs on node N: a power cut
#   cluster.sh node-start N
#   cluster.sh ctld-stop|ctld-kill|ctld-start
#   cluster.sh dbd-stop|dbd-start     sacct fails in between
#
# Partitions: main (10 s of grace before preemption), hard (none), high (preempts both).
# CLUSTER_DIR (default /tmp/flexpool-slurm) keeps state and logs; a second cluster beside it needs a
# CLUSTER_PORT of its own (default 26800); CLUSTER_MAX_ARRAY is MaxArraySize (default 1001).
# Give start and stop the same values.
set -u
HERE=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
D=${CLUSTER_DIR:-/tmp/flexpool-slurm}
PORT=${CLUSTER_PORT:-26800}
MAX_ARRAY=${CLUSTER_MAX_ARRAY:-1001}
NODES=(n1 n2 n3)
PACKAGES=(slurmctld slurmd slurm-client munge slurmdbd mariadb-server-core procps)
export SLURM_CONF=$D/etc/slurm.conf
LOCK=

say() { echo "cluster.sh: $*" >&2; }
die() { say "$*"; exit 1; }

# ---- processes: known by pid and start time, so that a reused pid is never hit.
# A zombie counts as dead: the machine's init may reap late, a container's never.
birth() {
    local stat; { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
    # shellcheck disable=SC2086  # the fields after the command's name, which may hold spaces
    set -- ${stat##*) }
    (($# >= 20)) && [[ $1 != Z ]] && echo "${20}"
}
pid_of() {
    local pid born; read -r pid born 2>/dev/null <"$D/pids/$1" || return 1
    [[ -n ${born:-} && $(birth "$pid") == "$born" ]] && echo "$pid"
}
gone() { ! pid_of "$1" >/dev/null; }
record() { echo "$2 $(birth "$2")" >"$D/pids/$1"; }
launch() {  # NAME COMMAND...: a daemon in the foreground of a session of its own
    local name=$1; shift
    setsid "$@" >>"$D/log/$name.out" 2>&1 </dev/null {LOCK}>&- &
    record "$name" $!
}
wait_for() {  # SECONDS NAME CONDITION...: gives up at once when the daemon NAME has died
    local end=$((SECONDS + $1)) name=$2; shift 2
    until "$@" >/dev/null 2>&1; do
        if [[ $1 != gone ]] && gone "$name"; then say "$name has ended: see $D/log"; return 1; fi
        ((SECONDS < end)) || { say "gave up waiting for $name: see $D/log"; return 1; }
        sleep 0.1
    done
}
kill_off() { kill "-$1" "$(pid_of "$2")" 2>/dev/null && wait_for 10 "$2" gone "$2"; }  # SIGNAL NAME
end() {  # NAME SECONDS: TERM, wait, KILL
    local pid; pid=$(pid_of "$1") || { rm -f "$D/pids/$1"; return 0; }
    kill -TERM "$pid"
    wait_for "$2" "$1" gone "$1" || kill_off KILL "$1"
    rm -f "$D/pids/$1"
}
lock() {
    mkdir -p "$D/pids"
    exec {LOCK}>"$D/lock"
    flock -w 120 "$LOCK" || die "another cluster.sh holds $D/lock"
}

# ---- configuration
render() {
    local host ctld_listens='' dbd_listens='' file node
    host=$(hostname -s)
    mkdir -p "$D"/{etc,munge,state,spool,log,pids} "${NODES[@]/#/$D/spool/}"
    chmod 755 "$D" "$D"/{etc,munge,log,pids}
    chmod 700 "$D/state"
    # binding to loopback alone needs a host name that resolves to loopback
    if getent ahostsv4 "$host" | grep -q '^127\.'; then
        ctld_listens=CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
        dbd_listens=CommunicationParameters=NoInAddrAny
    else
        say "$host does not resolve to 127.x: the daemons will listen on every address"
    fi
    { cat /etc/hosts; for node in "${NODES[@]}"; do echo "127.0.0.1 $node"; done; } >"$D/etc/hosts"
    for file in slurm.conf slurmdbd.conf gres.conf my.cnf; do
        (umask 077; sed -e "s|@DIR@|$D|g; s|@HOST@|$host|g; s|@MAX_ARRAY@|$MAX_ARRAY|g" \
            -e "s|@CTLD_PORT@|$((PORT + 17))|g; s|@DBD_PORT@|$((PORT + 19))|g" \
            -e "s|@NODE_PORTS@|[$((PORT + 21))-$((PORT + 20 + ${#NODES[@]}))]|g" \
            -e "s|@CTLD_LISTENS@|$ctld_listens|g; s|@DBD_LISTENS@|$dbd_listens|g" \
            "$HERE/conf/$file.in" >"$D/etc/$file.new")
        [[ $file == slurmdbd.conf ]] || chmod 644 "$D/etc/$file.new"  # slurmdbd insists on 0600
        mv "$D/etc/$file.new" "$D/etc/$file"
    done
}

# ---- one starter for each daemon; each returns at once if its daemon is up
munge_answers() { munge -n -S "$D/munge/socket" | unmunge -S "$D/munge/socket"; }
start_munge() {
    gone munge || return 0
    [[ -s $D/munge/key ]] || (umask 077; head -c 128 /dev/urandom >"$D/munge/key")
    launch munge munged -F --key-file="$D/munge/key" --socket="$D/munge/socket" \
        --pid-file="$D/munge/pid" --seed-file="$D/munge/seed" --log-file="$D/log/munged.log"
    wait_for 10 munge munge_answers
}
make_database() {  # mariadb-install-db wants a program that Debian ships in mariadb-client
    rm -rf "$D/db.new"
    mkdir -m 700 "$D/db.new"
    {
        printf '%s\n' "create database if not exists mysql;" "use mysql;" "set @auth_root_socket='root';"
        cat /usr/share/mysql/mysql_system_tables.sql /usr/share/mysql/mysql_system_tables_data.sql
    } | mariadbd --defaults-file="$D/etc/my.cnf" --datadir="$D/db.new" --bootstrap --log-warnings=0 \
        --enforce-storage-engine="" >"$D/log/db-install.out" 2>&1 && mv "$D/db.new" "$D/db"
}
start_db() {
    gone db || return 0
    [[ -d $D/db ]] || make_database || die "MariaDB: see $D/log/db-install.out"
    launch db mariadbd --defaults-file="$D/etc/my.cnf"
    wait_for 30 db test -S "$D/db.sock"
}
dbd_listens() { (exec 3<>"/dev/tcp/127.0.0.1/$((PORT + 19))") 2>/dev/null; }
start_dbd() {
    gone dbd || return 0
    MYSQL_UNIX_PORT=$D/db.sock launch dbd slurmdbd -D
    wait_for 30 dbd dbd_listens
}
ctld_answers() { timeout 5 scontrol ping | grep -q 'is UP'; }
start_ctld() {
    gone ctld || return 0
    launch ctld slurmctld -D -f "$SLURM_CONF"
    wait_for 30 ctld ctld_answers
}

# A node is a pid, mount and uts namespace: it has a host name, and nothing in it outlives its first process.
child() { pgrep -P "$@" | head -n 1; }
start_node() {
    local node=$1 outer
    gone "$node" || return 0
    if ! outer=$(pid_of "$node.ns"); then
        launch "$node.ns" unshare --fork --kill-child=KILL --pid --mount-proc --mount --uts \
            "$HERE/node.sh" "$node" "$D"
        outer=$(pid_of "$node.ns") || { say "$node: see $D/log/$node.ns.out"; return 1; }
        wait_for 5 "$node.ns" slurmd_of "$outer" || return 1
        record "$node" "$(slurmd_of "$outer")"
    else
        nsenter -t "$(child "$outer")" -a setsid slurmd -D -f "$SLURM_CONF" -N "$node" \
            >>"$D/log/$node.out" 2>&1 </dev/null {LOCK}>&- &
        wait_for 5 "$node.ns" child $! -x slurmd || return 1
        record "$node" "$(child $! -x slurmd)"
    fi
}
slurmd_of() { child "$(child "$1")" -x slurmd; }  # PID of a node's unshare
lost_nodes() { timeout 5 sinfo -h -N -p main -t drain,drained,down -o %N | sort -u | paste -sd,; }
nodes_idle() {  # a drained node counts as idle too
    [[ -z $(lost_nodes) ]] || return 1
    local up; up=$(timeout 5 sinfo -h -N -r -p main -t idle,mixed,allocated -o %N | sort -u | wc -l)
    ((up == ${#NODES[@]}))
}
resume_nodes() {  # an earlier run, or a job that came back twice, leaves nodes down or drained
    local lost; lost=$(lost_nodes)
    [[ -z $lost ]] || timeout 5 scontrol update NodeName="$lost" State=RESUME 2>/dev/null
}
nodes_ready() { resume_nodes; nodes_idle; }

# ---- the cluster
install() {
    local apt=(env DEBIAN_FRONTEND=noninteractive apt-get)
    "${apt[@]}" install -y -q --no-install-recommends "${PACKAGES[@]}" && return
    "${apt[@]}" update -q && "${apt[@]}" install -y -q --no-install-recommends "${PACKAGES[@]}"
}
start() {
    local node program
    for program in munged mariadbd slurmdbd slurmctld slurmd sinfo; do
        command -v $program >/dev/null || die "no $program; run: $0 install"
    done
    ((UID == 0)) || die "must be root"
    # slurmstepd's sockets live below it: with longer names jobs hang without a word
    ((${#D} <= 70)) || die "CLUSTER_DIR is longer than 70 characters: $D"
    lock
    if status >/dev/null 2>&1; then say "already up"; return; fi
    if gone ctld; then render; fi  # never under a live slurmctld
    if ! { start_munge && start_db && start_dbd && start_ctld; }; then die "could not start"; fi
    for node in "${NODES[@]}"; do start_node "$node" || die "could not start $node"; done
    wait_for 30 ctld nodes_ready || { status >&2; die "the nodes did not come up: see $D/log/slurmd.*.log"; }
    say "up; next: eval \"\$($0 env)\""
}
queue_empty() { [[ -z $(timeout 5 squeue -h -o %A) ]]; }
stop() {
    local node
    [[ -d $D/pids ]] || return 0
    lock
    if ! gone ctld; then
        timeout 10 squeue -h -o %F | sort -u | xargs -r timeout 10 scancel --quiet
        wait_for 10 ctld queue_empty
    fi
    for node in "${NODES[@]}"; do end "$node" 5; done
    for node in "${NODES[@]}"; do gone "$node.ns" || kill_off KILL "$node.ns"; rm -f "$D/pids/$node.ns"; done
    end ctld 15; end dbd 10; end db 20; end munge 5
    rm -f "$D/db.sock" "$D"/munge/socket*
    say "down"
}
status() {
    local name up=0 names=(munge db dbd ctld "${NODES[@]}")
    for name in "${names[@]}"; do
        if gone "$name"; then echo "$name down"; else echo "$name up, pid $(pid_of "$name")"; ((up += 1)); fi
    done
    ((up > 0)) || return 3
    ((up == ${#names[@]})) && ctld_answers && nodes_idle
}

case ${1:-} in
    install | start | stop | status) "$1" ;;
    env) echo "export SLURM_CONF=$SLURM_CONF SLURM_BITSTR_LEN=0" ;;  # 0: sacct prints whole array ranges
    node-stop) kill_off TERM "${2:?which node}" ;;
    node-kill) kill_off KILL "${2:?which node}" ;;
    node-crash) kill_off KILL "${2:?which node}.ns" && wait_for 10 "$2" gone "$2" ;;
    node-start) lock; start_node "${2:?which node}" ;;
    ctld-stop) end ctld 15 ;;
    ctld-kill) kill_off KILL ctld ;;
    ctld-start) lock; start_ctld ;;
    dbd-stop) end dbd 10 ;;
    dbd-start) lock; start_dbd ;;
    *) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0"; exit 2 ;;
esac
