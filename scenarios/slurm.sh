#!/bin/bash
# Runs a batch in PARTS parts. Each is a task of a Slurm job array and uses the cores that Slurm assigns
# to it:
#
#   sbatch --array=1-8 --cpus-per-task=4 scenarios/slurm.sh 8 OUT SCENARIO…
#   offramp merge OUT/part-? --out OUT/whole
#
# Parts that were killed (by a time limit or a failing node) resume when they are submitted again:
# --array=3,7.
#SBATCH --job-name=offramp
set -eu
parts=$1 out=$2
shift 2
mkdir -p "$out"
exec offramp run "$@" --shard "$SLURM_ARRAY_TASK_ID/$parts" --jobs "${SLURM_CPUS_PER_TASK:-1}" \
    --out "$out/part-$SLURM_ARRAY_TASK_ID" --resume --format csv
