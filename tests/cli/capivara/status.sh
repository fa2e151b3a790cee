# SPDX-License-Identifier: Apache-2.0
. "$CASE/common.inc"
make_input 25 10
capivara run corpus.yaml --parts 1 2>/dev/null
capivara status out >text
has text 'fetch'
has text '1/3'
has text '0/1'
[ "$(capivara status out --stage fetch --format slurm-array)" = 0,2 ] || fail "$(capivara status out --stage fetch --format slurm-array)"
[ "$(capivara status --corpus out --stage shard --format slurm-array)" = 0 ] || fail shard
capivara run corpus.yaml 2>/dev/null
[ -z "$(capivara status out --stage fetch --format slurm-array)" ] || fail 'nothing is left'
capivara status out >text
has text '3/3'
has text 'done'
has text 'fetch: failed: 1 not_image'
capivara status out --format json >json
has json '"column":"fetch","parts_committed":3,"parts":3,"parts_left":0,"parts_stale":0'
has json '"reasons":{"'
has json '"column":"shards/train"'
if grep -q "$(printf '\033')" text; then fail 'colour in a file'; fi
expect 2 "*'--format slurm-array' needs '--stage'" capivara status out --format slurm-array
expect 2 "*'--stage': 'out' has no 'caption'" capivara status out --stage caption
expect 2 "*expected the folder of a corpus" capivara status out/fetch

# Changed input: stale. Changed settings: said so.
printf 'another caption\n' >photos/015.txt
capivara status out >text
has text 'fetch: 1 parts are stale'
[ "$(capivara status out --stage fetch --format slurm-array)" = 1 ] || fail stale
sed -i 's/image_size: 8/image_size: 9/' out/config.yaml
capivara status out >text
has text 'the settings differ from the pinned ones'

# Without a writable index the records themselves are read.
rm out/index.sqlite
mkdir out/index.sqlite
capivara status out 2>/dev/null >text
has text '25'

# Without a configuration the stage cannot be asked; how many parts there are it has said.
capivara-fetch --corpus alone --input photos --input-format folder --rows-per-part 10 \
    --parts 1 --quiet
capivara status alone >text
has text '1/3'
capivara status alone --format json >json
has json '"parts_committed":1,"parts":3,"parts_left":null'
if grep -q '"eta_s":null' json; then fail "no time left: $(cat json)"; fi
capivara-fetch --corpus alone --input photos --input-format folder --rows-per-part 10 --quiet
capivara status alone >text
has text '3/3'
has text 'done'
