#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Options, configurations, exit statuses, hashes, shares of failures, refetching.
. "$(dirname "$0")/lib.sh"

draw 12
mkdir root
mv world/images root/images
serve root
cut -f 1,2 world/captions.tsv | tail -n +2 | sed "s|^http://127.0.0.1:1/|$url/|" >rows
{ printf 'url\tcaption\n'; cat rows; } >a.tsv

# bad STATUS PATTERN COMMAND...: the status, and one line on standard error with the text
bad() {
    run "$1" "${@:3}"
    equal "lines of: $(cat err)" "$(wc -l <err)" 1
    has err "$2"
    [ ! -s said ] || fail "standard output is not empty: $(cat said)"
}
F="capivara-fetch --quiet"
listed=(--input a.tsv --caption-col caption)

say "a command line of img2dataset's"
fetch 0 --url_list=a.tsv --input_format=tsv --url_col=url --caption_col=caption \
    --output_folder=i2d --processes_count=2 --thread_count=64 --image_size=64 \
    --resize_mode=keep_ratio --resize_only_if_bigger=True --encode_quality=90 \
    --skip_reencode=True --min_image_size=5 --max_aspect_ratio=3 --number_sample_per_shard=10 \
    --timeout=10 --retries=1 --disallowed_header_directives '["noai","noindex"]' \
    --user_agent_token=mybot --allow_private True --per_host_rate 0
wants i2d ok 12
equal parts "$(records i2d | wc -l)" 2
[ -f i2d/fetch/00001.tar.zst ] || fail "no second part"
unpack i2d i2d.out
equal "key of the last" "$(basename "$(ls i2d.out/*.json | tail -n 1)")" 000011.json
has i2d/fetch/settings.yaml "fetch.directives: [noai, noindex]"
has i2d/fetch/settings.yaml "fetch.skip_reencode: true"
# The one of its README, with what has no counterpart here.
fetch 0 --url_list a.tsv --input_format "tsv" --url_col "url" --caption_col "caption" \
    --output_format webdataset --output_folder i2d.readme --processes_count 16 \
    --thread_count 64 --image_size 256 --enable_wandb True --allow_private --per_host_rate 0
has err "--enable_wandb has no effect"
wants i2d.readme ok 12
fetch 0 --url_list a.tsv --output_folder i2d.readme --input_format tsv --url_col url --caption_col caption \
    --encode_format=jpg --compute_hash=sha256 --incremental_mode=incremental \
    --oom_shard_count=5 --distributor=multiprocessing --subjob_size=1000 \
    --max_shard_retry=1 --enable_wandb=False --wandb_project=x --extract_exif=False
[ ! -s err ] || fail "something is said: $(cat err)"
bad 2 "'--output_format': expected webdataset, got 'files'" $F --url_list a.tsv \
    --output_folder i2d.readme --output_format files

say "--print-config, and its output as --config"
run 0 $F --corpus c "${listed[@]}" --image-size 99 --set fetch.max_area=1e6 \
    --set 'input.extra=[a, "b c"]' --contact 'http://x/: #' --seed 5 --print-config
cp said one.yaml
[ ! -e c ] || fail "--print-config made the corpus"
run 0 $F --config one.yaml --print-config
same said one.yaml
for w in 'image_size: 99' 'max_area: 1000000' 'extra: [a, "b c"]' "seed: 5"; do has one.yaml "$w"; done
# The later word wins: defaults, the file, --set, the command line.
run 0 $F --config one.yaml --set fetch.image_size=77 --print-config
has said 'image_size: 77'
run 0 $F --config one.yaml --set fetch.image_size=77 --image-size 55 --print-config
has said 'image_size: 55'

say "null is the default"
printf 'corpus: c\ninput: {path: a.tsv, language: null, format: tsv}\n' >null.yaml
run 0 $F --config null.yaml --print-config
has said 'language: en'

say "paths of a configuration start from its folder"
mkdir conf
printf 'corpus: ../made\ninput: {path: ../a.tsv, captions: [caption]}\nfetch: {allow_private: true, per_host_rate: 0, image_size: 32}\n' >conf/c.yaml
fetch 0 --config conf/c.yaml
wants made ok 12
cp conf/c.yaml made/config.yaml
sed -i 's|\.\./made|.|' made/config.yaml
fetch 0 --corpus made
equal "records after a second run" "$(records made | wc -l)" 1

say "mistakes: one line, by line and column, and a guess"
bad 2 "'--corpus' is needed" $F --input a.tsv
bad 2 "did you mean '--image-size'" $F --corpus c --image-sizw 3
bad 2 "--image-size" $F --corpus c --image-size 3x
bad 2 "--image-size" $F --corpus c --image-size 0
bad 2 "keep_ratio" $F --corpus c --resize-mode keepratio
bad 2 "--image-size" $F --corpus c --image-size
bad 2 "unexpected 'word'" $F --corpus c word
bad 2 "fetch.imagesize" $F --corpus c --set fetch.imagesize=3
bad 2 "fetch" $F --corpus c --set fetch
printf 'corpus: c\nfetch:\n  image_size: 3\n  image_siez: 4\n' >x.yaml
bad 2 "'x.yaml' line 4 column 3: " $F --config x.yaml
has err "did you mean 'fetch.image_size'"
printf 'corpus: c\nfetch:\n  quality: 101\n' >x.yaml
bad 2 "'x.yaml' line 3 column 3: " $F --config x.yaml
printf 'fetch:\n  quality: 9\n  quality: 9\n' >x.yaml
bad 2 "'x.yaml' line 3 column 3" $F --config x.yaml
printf 'fetch: [\n' >x.yaml
bad 2 "'x.yaml' line 2" $F --config x.yaml
printf 'fetch:\n  image_size: &a 3\n' >x.yaml
bad 2 "'x.yaml' line 2" $F --config x.yaml
bad 74 "'none.yaml'" $F --config none.yaml
bad 2 "'--parts'" $F --corpus c "${listed[@]}" --parts 1-
bad 2 "'--verify-hash': expected a column and its kind" $F --corpus c "${listed[@]}" --verify-hash url
bad 2 "sha256 or md5" $F --corpus c "${listed[@]}" --verify-hash url,crc

say "--dry-run says what would be done, and writes nothing"
fetch 0 --corpus dry "${listed[@]}" --rows-per-part 5 --dry-run
[ ! -e dry ] || fail "--dry-run made $(find dry)"
printf 'fetch part %05d rows %s: new\n' 0 0-5 1 5-10 2 10-12 >wanted
same said wanted

say "--parts"
parts=(--corpus p "${listed[@]}" --rows-per-part 2 "${FAST[@]}")
there() { (cd p/fetch && ls | sed -n 's/^0000\(.\)\.json$/\1/p' | tr -d '\n'); }
fetch 0 "${parts[@]}" --parts 1,3-4
equal parts "$(there)" 134
printf '0\n\n5\n' | capivara-fetch --quiet --min-free 1M "${parts[@]}" --parts - 2>err ||
    fail "--parts -: $(cat err)"
equal parts "$(there)" 01345
bad 2 "part 6 does not exist: there are 6 parts" $F "${parts[@]}" --parts 6
bad 2 "SLURM_ARRAY_TASK_ID" $F "${parts[@]}" --parts env
SLURM_ARRAY_TASK_ID=2 fetch 0 "${parts[@]}" --parts env
equal parts "$(there)" 012345
fetch 0 "${parts[@]}" --dry-run
equal "parts done" "$(grep -c ': done$' said)" 6

say "digests of the originals: right, upper case, wrong, none"
{ printf 'url\tsha\tmd\n'
  i=0
  while IFS=$'\t' read -r u _; do
      f=root${u#"$url"}
      s=$(sha256sum <"$f" | cut -d' ' -f1) m=$(md5sum <"$f" | cut -d' ' -f1)
      case $i in
      1) s=${s^^} m=${m^^} ;;
      2) s=$(printf %064d 0) m=$(printf %032d 0) ;;
      3) s='' m='' ;;
      4) s=abc m=xyz ;;
      esac
      printf '%s\t%s\t%s\n' "$u" "$s" "$m"
      i=$((i + 1))
  done <rows; } >sums.tsv
for kind in sha,sha256 md,md5; do
    fetch 0 --corpus "h.${kind#*,}" --input sums.tsv --verify-hash $kind "${FAST[@]}"
    equal "row 1, $kind" "$(failure_of "h.${kind#*,}" 1)" ""
    equal "row 2, $kind" "$(failure_of "h.${kind#*,}" 2)" hash_mismatch
    equal "row 4, $kind" "$(failure_of "h.${kind#*,}" 4)" bad_row
done
# An empty field is nothing to compare with.
equal "row 3" "$(failure_of h.md5 3)" "$(failure_of h.sha256 3)"

say "too many failures: 65; too many passing ones: 75, until they are accepted"
{ cat a.tsv; printf "$url/status/404?%s\tgone\n" 1 2 3 4; } >gone.tsv
fetch 65 --corpus gone --input gone.tsv --caption-col caption "${FAST[@]}" --max-failed 0.2
wants gone ok 12 http_4xx 4
fetch 0 --corpus gone2 --input gone.tsv --caption-col caption "${FAST[@]}" --max-failed 0.25

mkdir root/later
{ cat a.tsv; for i in 1 2 3; do printf "$url/status/503?$i\tbusy\n"; done
  printf "$url/status/404\tgone\n"; } >busy.tsv
busy=(--corpus busy --input busy.tsv --caption-col caption "${FAST[@]}")
fetch 75 "${busy[@]}"
[ ! -e busy/fetch/00000.json ] || fail "a part with too many passing failures was committed"
has err "3 of 16 rows failed for passing reasons"
fetch 0 "${busy[@]}" --max-transient 0.2
wants busy ok 12 http_5xx 3 http_4xx 1
cp busy/fetch/00000.tar.zst busy.before

say "--refetch: a further revision, with the old samples as they were"
# /flaky/N fails N times for each URL: it is there at last.
{ cat a.tsv; for i in 1 2 3; do printf "$url/flaky/2/images/0000$i.jpg\tback\n"; done
  printf "$url/status/404\tgone\n$url/status/503\tbusy\n"; } >flaky.tsv
flaky=(--corpus flaky --input flaky.tsv --caption-col caption --allow-private
    --per-host-rate 0 --retries 0 --host-down-after 0 --accept-transient)
sed -i "s|/flaky/2/images/0000\([123]\).jpg|/flaky/2/later/\1.jpg|" flaky.tsv
for i in 1 2 3; do cp "$IMAGES/jpeg-orientation-$i.jpg" root/later/$i.jpg; done
fetch 0 "${flaky[@]}"
wants flaky ok 12 http_5xx 4 http_4xx 1
# Nothing to do without being asked; a status that nobody has; then the first of two times.
fetch 0 "${flaky[@]}"
fetch 0 "${flaky[@]}" --refetch timeout
equal revisions "$(ls flaky/fetch/*.tar.zst | wc -l)" 1
fetch 0 "${flaky[@]}" --refetch transient
[ -f flaky/fetch/00000.r1.json ] || fail "no revision 1: $(ls flaky/fetch)"
wants flaky ok 12 http_5xx 4 http_4xx 1
fetch 0 "${flaky[@]}" --refetch http_5xx
wants flaky ok 15 http_5xx 1 http_4xx 1
[ -f flaky/fetch/00000.r2.json ] || fail "no revision 2: $(ls flaky/fetch)"
mkdir r0 r2
capivara cat flaky/fetch/00000.tar.zst | tar -xf - -C r0
capivara cat flaky/fetch/00000.r2.tar.zst | tar -xf - -C r2
for f in r0/*; do same "r2/${f#r0/}" "$f"; done
equal "samples of revision 2" "$(ls r2/*.json | wc -l)" 15
has_not flaky/fetch/00000.r2.json duplicate
fetch 0 "${flaky[@]}" --refetch all
[ -f flaky/fetch/00000.r3.json ] || fail "no revision 3: $(ls flaky/fetch)"
wants flaky ok 15 http_5xx 1 http_4xx 1
run 0 capivara verify flaky

say "other settings: 78 and what differs; --redo makes a revision"
fetch 78 "${flaky[@]}" --image-size 64
has err "image_size"
has err "256"
has err "64"
fetch 0 "${flaky[@]}" --image-size 64 --redo --parts 0
[ -f flaky/fetch/00000.r4.json ] || fail "no revision 4: $(ls flaky/fetch)"
unpack flaky redone
for f in redone/*.json; do
    w=$(field "$f" width) h=$(field "$f" height)
    equal "the smaller side of $f" $((w < h ? w : h)) 64
done
# What does not change bytes may change at any time.
fetch 0 "${flaky[@]}" --image-size 64 --threads 1 --connections 3 --timeout 9

say "trouble of the system: 74"
: >file
fetch 74 --corpus file/c "${listed[@]}" "${FAST[@]}"
fetch 74 --corpus full "${listed[@]}" "${FAST[@]}" --min-free 9007199254740992
has err "are free"
