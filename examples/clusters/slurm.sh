#!/bin/bash
# A run on all nodes of a Slurm job, with a vLLM server on each:  sbatch slurm.sh data.jsonl runs/big
# A job that ran out of time goes on where it was when it is submitted again.
#SBATCH --job-name=coevol
#SBATCH --nodes=4
#SBATCH --exclusive
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --gpus-per-node=8
#SBATCH --time=24:00:00
set -euo pipefail

data=$1
run=$2
model=${MODEL:-Qwen/Qwen3-8B}
workers_a_node=${WORKERS_A_NODE:-2}

nodes=$(scontrol show hostnames "$SLURM_JOB_NODELIST")
first=$(head -n 1 <<<"$nodes")

# One server a node, with a replica on each of its GPUs. A step each, so that one that ends while it loads ends
# the job, and one that ends later is replaced by the others.
servers=()
for node in $nodes; do
  srun --overlap --nodes=1 --ntasks=1 --nodelist="$node" \
    vllm serve "$model" --data-parallel-size "$SLURM_GPUS_ON_NODE" --port 8000 &
  servers+=("$!")
done
urls=()
for node in $nodes; do
  until curl --silent --fail "http://$node:8000/health" >/dev/null; do
    kill -0 "${servers[${#urls[@]} / 2]}"  # it has not ended
    sleep 5
  done
  urls+=(--base-url "http://$node:8000/v1")
done

# Ray starts on all nodes, the command runs on the first one, and Ray stops when it ends: every Ray of this user
# on these nodes, which is why the job has them to itself.
RAY_AUTH_TOKEN=$(openssl rand -hex 32)
export RAY_AUTH_TOKEN RAY_AUTH_MODE=token
srun --overlap --ntasks-per-node=1 \
  ray symmetric-run --address "$first:6379" --min-nodes "$SLURM_NNODES" --num-cpus "$workers_a_node" -- \
  coevol evolve "$data" -o "$run" --ray auto --workers "$((SLURM_NNODES * workers_a_node))" \
  --model "vllm:$model" "${urls[@]}" --concurrency "$((256 * SLURM_NNODES))"
