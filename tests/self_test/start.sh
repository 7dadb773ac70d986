#!/usr/bin/env bash
# Starts the simulator, with a node for each of two tokens, and gives its address to the later steps of the job.
set -euo pipefail

# An address that the container of the action reaches, too; under act it shares the network of the job.
host=$(if [ "${ACT:-}" ]; then echo 127.0.0.1; else hostname -I | cut -d ' ' -f 1; fi)
nohup python3 -m tests.tools.simulator --host "$host" --token self-test-token --other-tokens self-test-token-2 \
  --baselines 2 --test-seconds 1 --url-file "$RUNNER_TEMP/url" >"$RUNNER_TEMP/log" 2>&1 &
for _ in $(seq 100); do test -s "$RUNNER_TEMP/url" || sleep 0.1; done
echo "url=$(cat "$RUNNER_TEMP/url")" >>"$GITHUB_OUTPUT"
