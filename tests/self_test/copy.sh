#!/usr/bin/env bash
# Copies a test run with each of the records: copy.sh URL RECORD_ID...
set -euo pipefail

url=$1
shift
test "$#" = 2
for record_id in "$@"; do
  curl --fail-with-body --silent --show-error "$url/v1/test_run" \
    --json "{\"name\": \"copy\", \"test_record_id\": $record_id}" \
    --header "X-WallarmAPI-Token: self-test-token" | jq --exit-status .body.id
done
