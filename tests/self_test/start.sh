#!/usr/bin/env bash
# Starts the simulator and two test runs, and gives their address and ids to the later steps of the job.
set -euo pipefail

# An address that the container of the action reaches, too; under act it shares the network of the job.
host=$(if [ "${ACT:-}" ]; then echo 127.0.0.1; else hostname -I | cut -d ' ' -f 1; fi)
nohup python3 -m tests.tools.simulator --host "$host" --token self-test-token --baselines 2 --test-seconds 1 \
  --url-file "$RUNNER_TEMP/url" >"$RUNNER_TEMP/log" 2>&1 &
for _ in $(seq 100); do test -s "$RUNNER_TEMP/url" || sleep 0.1; done
url=$(cat "$RUNNER_TEMP/url")
create='
import json, sys, urllib.request
url, name = sys.argv[1:]
headers = {"X-WallarmAPI-Token": "self-test-token", "Content-Type": "application/json"}
body = json.dumps({"name": name, "build_id": name}).encode()
answer = urllib.request.urlopen(urllib.request.Request(f"{url}/v1/test_run", body, headers), timeout=10)
print(json.load(answer)["body"]["id"])
'
ids=
for name in one two; do
  ids+=" $(python3 -c "$create" "$url" "$name")"
done
printf 'url=%s\nids=%s\n' "$url" "$ids" >>"$GITHUB_OUTPUT"
