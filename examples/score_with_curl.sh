#!/usr/bin/env bash
# Scores two completions by curl. Start the service first: `assay serve`.
set -eu
url=${ASSAY_URL:-http://127.0.0.1:8000}

curl --silent --show-error --fail-with-body "$url/v1/score" \
  --header 'Content-Type: application/json' \
  --data '{
    "scorer": {"type": "string_reversal"},
    "samples": [
      {"id": "right", "completion": "dlroW ,olleH", "reference": "Hello, World"},
      {"id": "wrong", "completion": "Hello, World", "reference": "Hello, World"}
    ]
  }'
