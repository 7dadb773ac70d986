#!/usr/bin/env bash
# Starts the simulator and two test runs, and gives their address and ids to the later steps of the job.
set -euo pipefail

# An address that the container of the action reaches, too; under act it shares the network of the job.
host=$(if [ "${ACT:-}" ]; then echo 127.0.0.1; else hostname -I | cut -d ' ' -f 1; fi)
nohup python3 -m tests.tools.simulator --host "$host" --token self-test-token --other-tokens self-test-token-2 \
  --baselines 2 --url-file "$RUNNER_TEMP/url" >"$RUNNER_TEMP/log" 2>&1 &
for _ in $(seq 100); do test -s "$RUNNER_TEMP/url" || sleep 0.1; done
url=$(cat "$RUNNER_TEMP/url")
ids=
for token in self-test-token self-test-token-2; do # a node each, since a second run would abort the first
  id=$(curl --fail-with-body --silent --show-error "$url/v1/test_run" \
    --json '{"name": "self-test"}' --header "X-WallarmAPI-Token: $token" | jq --exit-status .body.id)
  ids+=" $id"
done
printf 'url=%s\nids=%s\n' "$url" "$ids" >>"$GITHUB_OUTPUT"
