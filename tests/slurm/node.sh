#!/usr/bin/env bash
# The first process of a node's namespaces; cluster.sh starts it: node.sh NAME CLUSTER_DIR
hostname "$1"
mount --bind "$2/etc/hosts" /etc/hosts
slurmd -D -f "$2/etc/slurm.conf" -N "$1" &
# stays, and reaps what the node leaves behind, also when slurmd is gone
while :; do wait -n 2>/dev/null || sleep 0.5; done
