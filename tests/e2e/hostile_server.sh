#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A server that hangs, drips, lies, floods and refuses: every row ends with the status
# that it deserves, in time, in little memory, and the good ones are samples.
. "$(dirname "$0")/lib.sh"

draw 8 >/dev/null
mv world/images root
mkdir root/other
for i in 1 2 3 4 5 6; do cp "$IMAGES/jpeg-orientation-$i.jpg" root/other/; done
serve root

# Each line: the status wanted and the path; %N stands for a good image.
cat >plan <<END
ok /00000.jpg
ok /00001.jpg
ok /redirect/3/00002.jpg
ok /noai-other/00003.jpg
ok /00004.webp
ok /00005.png
ok /chunked/00006.jpg
ok /flaky/1/00007.jpg
ok /delay/200/other/jpeg-orientation-1.jpg
ok /drip/200/1/other/jpeg-orientation-2.jpg
ok /gzip/other/jpeg-orientation-3.jpg
ok /redirect/1/delay/50/other/jpeg-orientation-4.jpg
timeout /hang/a
timeout /hang/b
timeout /delay/4000/00000.jpg?late
timeout /drip/10/200/00000.jpg?slow
timeout /slow-header/a
timeout /announce/1000
redirect /redirect-loop
redirect /redirect/9/00000.jpg
redirect /redirect-to?url=file:///etc/passwd
redirect /redirect-to?url=gopher://127.0.0.1/
redirect /redirect-to?url=http://user@127.0.0.1/
redirect /status/304
protocol /short/00000.jpg
protocol /close-early/00001.jpg
connect /bad-chunk/00000.jpg
protocol /garbage
protocol /huge-header
protocol /many-headers
connect /reset
too_big /endless
too_big /big/30000000
too_big /announce/30000000
decode /long/00002.jpg
empty /empty
empty /status/204
not_image /html.jpg
not_image /big/5000
http_4xx /status/404
http_4xx /status/403
http_4xx /status/451
http_4xx /none.jpg
http_410 /status/410
http_429 /status/429?retry_after=1
http_429 /status/429?retry_after=99999
http_429 /status/429?retry_after=Wed,%2021%20Oct%202099%2007:28:00%20GMT
http_5xx /status/500
http_5xx /status/501
http_5xx /status/503?retry_after=0
http_5xx /status/503?retry_after=nonsense
http_5xx /flaky/3/00007.jpg
optout /noai/00000.jpg
optout /noai-us/00000.jpg
optout /noai/endless
optout /redirect/1/noai/00000.jpg
duplicate_url /00000.jpg
duplicate_content /redirect/1/00000.jpg
END
awk -v u="$url" '{ print u $2 "\t" $1 }' plan >body
{ printf 'url\tcaption\n'; cat body
  printf 'one field only\n\tno URL\nftp://127.0.0.1/x\tno http\nhttp://127.0.0.1:99999/\tno port\n'
  printf 'http://127.0.0.1:1/\tnobody listens\n'; } >list.tsv
n=$(($(wc -l <plan)))
rows=$((n + 5))

hostile=(--corpus c --input list.tsv --caption-col caption "${FAST[@]}" --timeout 1.5
    --connect-timeout 1.5 --retry-after-max 0.2 --host-down-after 0 --memory 4M
    --max-bytes 20M --accept-transient)

say "all of it in one part"
measured 0 capivara-fetch --quiet --min-free 1M "${hostile[@]}"
{ awk '$1 != "ok" { print NR - 1, $1 }' plan
  printf '%s bad_row\n' $n $((n + 1))
  printf '%s bad_url\n' $((n + 2)) $((n + 3))
  echo "$((n + 4)) connect"; } >wanted.rows
failures c >got.rows
diff wanted.rows got.rows >differ ||
    fail "rows (<: expected, >: found), from 0 in list.tsv:
$(cat differ)"
equal "samples and failures" $(($(samples c) + $(wc -l <got.rows))) $rows
equal samples "$(samples c)" "$(grep -c '^ok' plan)"
unpack c out
for json in out/*.json; do
    equal "caption of $json" "$(field "$json" captions-en)" '["ok"]'
done
run 0 capivara verify c

echo "$rows rows in $ms ms, $((kib / 1024)) MiB"
if [ -z "$SLOW" ]; then
    # Two attempts of 1.5 s each, and the waits in between; the rest is for a busy machine.
    [ "$ms" -lt 15000 ] || fail "it took $ms ms"
    [ "$kib" -lt 131072 ] || fail "it took $kib KiB of memory"
fi

say "without --accept-transient the part waits, and nothing is committed"
# Quick ones that answer by their URL alone.
grep -vE '/(hang|flaky|drip|delay|slow-header|announce)/' list.tsv >quick.tsv
quick=("${hostile[@]/list.tsv/quick.tsv}")
fetch 75 "${quick[@]/--accept-transient/--quiet}" --corpus held
equal "records" "$(records held | wc -l)" 0
has err "not committed, run again or give --accept-transient"
[ -s held/fetch/.00000.journal ] || fail "the journal was not kept: $(ls -A held/fetch)"

say "its record is then the same as that of a run in one go, with other threads"
fetch 0 "${quick[@]}" --corpus held
fetch 0 "${quick[@]}" --corpus once --threads 1
same "$(records held)" "$(records once)"
same "$(shards held)" "$(shards once)"
[ ! -e held/fetch/.00000.journal ] || fail "the journal is still there"

say "a host that keeps failing is left alone, and its rows say so"
for i in $(seq 40); do echo "$url/status/500?$i"; done >down.txt
fetch 0 --corpus down --input down.txt "${FAST[@]}" --per-host 1 --retries 0 \
    --host-down-after 5 --accept-transient
statuses down >got
has got "host_down 3"
has got "http_5xx "
equal rows "$(failures down | wc -l)" 40

say "hostile headers neither end the run nor stay out of the table"
for i in $(seq 20); do echo "$url/huge-header?$i"; echo "$url/many-headers?$i"; done >heads.txt
echo "$url/00000.jpg" >>heads.txt
fetch 0 --corpus heads --input heads.txt "${FAST[@]}" --host-down-after 0 --accept-transient
wants heads ok 1 protocol 40

say "a stop in the middle of it is quick, and the next run goes on"
for i in $(seq 30); do echo "$url/hang/$i"; done >hang.txt
capivara-fetch --quiet --min-free 1M --corpus stop --input hang.txt "${FAST[@]}" --timeout 60 \
    2>err & pid=$!
sleep 0.5
kill -TERM $pid
began=$(date +%s%3N) got=0
wait $pid || got=$?
took=$(($(date +%s%3N) - began))
equal "status after SIGTERM" $got 75
[ -n "$SLOW" ] || [ $took -lt 2000 ] || fail "it took $took ms to stop"
