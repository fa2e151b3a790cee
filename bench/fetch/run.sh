#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# CPU seconds per image of capivara-fetch and of img2dataset on the same web server and
# the same photographs: keep_ratio 256, area, JPEG 95, SHA-256. The two alternate; the
# server's own time is not counted.
#
#   PEER_PYTHON=/path/to/python-with-img2dataset bench/fetch/run.sh [PHOTOS] [COPIES] [ROUNDS]
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
photos=${1:-$root/../shared/data/photos}
build=${BUILD:-$root/build}
[ -d "$photos" ] || { echo "bench/fetch: no photographs at '$photos'" >&2; exit 77; }
exec python3 "$root/bench/fetch/run.py" --build "$build" --photos "$photos" \
    --copies "${2:-30}" --rounds "${3:-3}" --peer "${PEER_PYTHON:-}"
