#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Pictures of every kind, good, odd and hostile, as local files: the good ones become
# JPEGs of the right size, each other one has its reason.
. "$(dirname "$0")/lib.sh"

mkdir root
cp "$IMAGES"/*.* root
rm root/*.ppm
"$HELPER" scans 3000 <"$IMAGES/jpeg-progressive.jpg" >root/made-scans.jpg
"$HELPER" png-size 60000 60000 <"$IMAGES/png-rgb.png" >root/made-bomb.png
"$HELPER" png-size 9999 9999 <"$IMAGES/png-rgb.png" >root/made-liar.png
: >root/made-empty.jpg
echo '<!DOCTYPE html><html><body>404</body></html>' >root/made-html.jpg
head -c 800 "$IMAGES/jpeg-420.jpg" >root/made-cut.jpg
head -c 300 "$IMAGES/png-rgb.png" >root/made-cut.png
head -c 200 "$IMAGES/webp-lossy.webp" >root/made-cut.webp
printf '\377\330\377' >root/made-start.jpg
echo 'just words' >root/made-text.png
cp "$IMAGES/jpeg-444.jpg" root/made-misnamed.png
echo behind >>root/made-misnamed.png # so that it is another file

# Everything that is no sample, and why.
cat >bad <<'END'
bomb-100000.png bomb
bomb-65500.jpg bomb
bomb-tall.png bomb
made-bomb.png bomb
broken-no-data.jpg decode
made-cut.jpg decode
made-cut.png decode
made-cut.webp decode
made-liar.png decode
made-scans.jpg decode
made-start.jpg decode
made-empty.jpg empty
made-html.jpg not_image
made-text.png not_image
refused-animated.gif unsupported_format
refused-animated.png unsupported_format
refused-animated.webp unsupported_format
refused-plain.avif unsupported_format
refused-plain.bmp unsupported_format
refused-plain.gif unsupported_format
refused-plain.ico unsupported_format
refused-plain.jp2 unsupported_format
refused-plain.svg unsupported_format
refused-plain.tiff unsupported_format
END
sort -o bad bad
(cd root && ls) >names
{ echo file; cat names; } >list.tsv
# named CORPUS: "FILE STATUS" of every failure
named() { failures "$1" | while read -r row status; do
    echo "$(sed -n "$((row + 1))p" names) $status"; done | sort; }

say "$(wc -l <names) files, in the sizes they have"
measured 0 capivara-fetch --quiet --min-free 1M --corpus c --input list.tsv \
    --file-col file --root root --resize-mode no
named c >got.bad
same got.bad bad
equal samples "$(samples c)" $(($(wc -l <names) - $(wc -l <bad)))
echo "$ms ms, $((kib / 1024)) MiB"
[ -n "$SLOW" ] || [ "$kib" -lt 131072 ] || fail "it took $kib KiB of memory"

say "sizes are those that one sees, in the JSON and in the JPEG"
unpack c out
row=0
while read -r name; do
    key=$(printf '00000%04d' $row)
    row=$((row + 1))
    [ -f "out/$key.json" ] || continue
    size='37 23'
    case $name in *orientation-[5-8].jpg | *-exif-[5-8].*) size='23 37' ;; esac
    f=out/$key.json
    equal "file of $key" "$(field "$f" file)" "\"$name\""
    equal "size of $name" "$(field "$f" width) $(field "$f" height)" "$size"
    equal "first size of $name" "$(field "$f" original_width) $(field "$f" original_height)" \
        "$size"
    equal "JPEG of $name" "$("$HELPER" jpeg-size <"out/$key.jpg")" "$size"
    equal "digest of $name" "$(field "$f" sha256)" "\"$(sha256sum "root/$name" | cut -d' ' -f1)\""
    ! head -c 512 "out/$key.jpg" | grep -q Exif || fail "$name: EXIF is still there"
done <names

say "damaged ones with --accept-truncated: what is there, but no bombs"
measured 0 capivara-fetch --quiet --min-free 1M --corpus take \
    --input list.tsv --file-col file --root root --accept-truncated
named take >got.bad
has got.bad "bomb-100000.png bomb"
has got.bad "made-scans.jpg bomb"
has got.bad "made-empty.jpg empty"
has_not got.bad "made-cut.jpg"
has_not got.bad "made-cut.png"

say "what the server or the name says does not matter, only the bytes"
mkdir few
cp root/made-misnamed.png few/a.png
cp root/made-html.jpg few/b.jpg
echo "a caption" >few/a.txt
printf 'one\r\n\n two \n' >few/b.txt
mkdir few/deeper few/.hidden
cp root/jpeg-422.jpg few/deeper/c.jpeg
cp root/jpeg-422.jpg few/.hidden/d.jpg
fetch 0 --corpus few.c --input few --resize-mode no
wants few.c ok 2 not_image 1
unpack few.c few.out
equal captions "$(field few.out/000000000.json captions-en)" '["a caption"]'
equal "no captions" "$(field few.out/000000002.json captions-en)" '[]'
equal path "$(field few.out/000000002.json file)" '"deeper/c.jpeg"'

say "filters look at the header"
filter() { # OPTION WANTED...
    rm -rf f.c
    fetch 0 --corpus f.c --input list.tsv --file-col file --root root --resize-mode no $1
    statuses f.c >got
    shift
    for w in "$@"; do has got "$w"; done
}
# What is no picture, or of no known size, says so whatever the filter; four damaged ones
# have a header to go by, and two more claim to be large.
good=$(samples c)
filter '--min-image-size 24' "too_small $((good + 4))" "ok 0"
filter '--min-image-size 23' "ok $good"
filter '--max-image-area 850' "too_large_area $((good + 6))" "ok 0"
filter '--max-image-area 851' "ok $good"
filter '--max-aspect-ratio 1.6' "aspect " "ok 0"
filter '--max-aspect-ratio 1.61' "ok $good"
filter '--max-pixels 850' "bomb " "ok 0"
filter '--max-bytes 500' "too_big "
