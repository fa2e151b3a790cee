#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every resize mode: sizes in the JSON and in the JPEG itself; and when the original bytes
# are kept.
. "$(dirname "$0")/lib.sh"

# 37 x 23, 23 x 37 (by EXIF), gray, CMYK, PNG and WebP with alpha: all of one shape.
mkdir in
for f in jpeg-420.jpg jpeg-gray.jpg jpeg-cmyk.jpg png-rgba.png webp-lossy.webp; do
    cp "$IMAGES/$f" in/a-$f
done
cp "$IMAGES/jpeg-orientation-6.jpg" in/b-turned.jpg
n=$(ls in | wc -l)

# sizes "WIDE" "TALL" OPTIONS...: of what is 37 x 23 and of what is 23 x 37
sizes() {
    local wide=$1 tall=$2 f want k=0
    rm -rf c out
    fetch 0 --corpus c --input in "${@:3}"
    wants c ok "$n"
    unpack c out
    for f in in/*; do
        key=$(printf %09d $k) want=$wide
        k=$((k + 1))
        case $f in *turned*) want=$tall ;; esac
        equal "JSON of $f, ${*:3}" "$(field out/$key.json width) $(field out/$key.json height)" "$want"
        equal "JPEG of $f, ${*:3}" "$("$HELPER" jpeg-size <out/$key.jpg)" "$want"
    done
}

say "no: as they are"
sizes '37 23' '23 37' --resize-mode no
say "keep_ratio: the shortest side"
sizes '412 256' '256 412' --resize-mode keep_ratio
sizes '10 6' '6 10' --resize-mode keep_ratio --image-size 6
sizes '37 23' '23 37' --resize-mode keep_ratio --image-size 23
say "keep_ratio_largest: the longest side"
sizes '256 159' '159 256' --resize-mode keep_ratio_largest
sizes '10 6' '6 10' --resize-mode keep_ratio_largest --image-size 10
sizes '1 1' '1 1' --resize-mode keep_ratio_largest --image-size 1
say "border: a square with white round it"
sizes '64 64' '64 64' --resize-mode border --image-size 64
sizes '16 16' '16 16' --resize-mode border --image-size 16
say "center_crop: a square out of the middle"
sizes '64 64' '64 64' --resize-mode center_crop --image-size 64
sizes '16 16' '16 16' --resize-mode center_crop --image-size 16
say "only if bigger: never enlarged, nor padded or cropped then"
for mode in keep_ratio keep_ratio_largest border center_crop; do
    sizes '37 23' '23 37' --resize-mode $mode --image-size 64 --resize-only-if-bigger
done
sizes '16 10' '10 16' --resize-mode keep_ratio --image-size 10 --resize-only-if-bigger
say "each filter gives its own pixels, of the same size"
for way in "downscale-interpolation 10" "upscale-interpolation 64"; do
    for filter in area bicubic lanczos; do
        fetch 0 --corpus "f.$filter.${way%% *}" --input in --image-size "${way##* }" \
            --"${way%% *}" $filter
        records "f.$filter.${way%% *}" | xargs cat | grep -o '"tar_sha256":"[0-9a-f]*"'
    done | sort -u >digests
    equal "different results of ${way%% *}" "$(wc -l <digests)" 3
done
say "the quality counts"
for q in 10 50 95; do
    fetch 0 --corpus q$q --input in --image-size 64 --encode-quality $q
    records q$q | xargs cat | grep -o '"tar_bytes":[0-9]*' | cut -d: -f2
done >bytes
sort -n bytes | cmp -s - bytes || fail "a better quality takes fewer bytes: $(cat bytes)"

say "skip-reencode keeps a JPEG that needs no change"
rm -rf c out
fetch 0 --corpus c --input in --resize-mode no --skip-reencode
unpack c out
k=0
for f in in/*; do
    out=out/$(printf %09d $k).jpg
    k=$((k + 1))
    case $f in
    *420* | *gray*) same "$out" "$f" ;;
    *) ! cmp -s "$out" "$f" || fail "$f was kept as it is" ;;
    esac
done
fetch 0 --corpus c2 --input in --skip-reencode --image-size 23
unpack c2 out2
same out2/000000001.jpg out/000000001.jpg
fetch 0 --corpus c3 --input in --skip-reencode --image-size 22
unpack c3 out3
! cmp -s out3/000000001.jpg out/000000001.jpg || fail "a picture of another size was kept"

say "pass-through keeps all of them, and says how they look upright"
rm -rf c out
cp "$IMAGES/broken-no-data.jpg" in/c-broken.jpg
fetch 0 --corpus c --input in --pass-through --image-size 64
wants c ok "$n" decode 1
unpack c out
k=0
for f in in/*; do
    key=out/$(printf %09d $k)
    k=$((k + 1))
    case $f in
    *broken*) [ ! -e "$key.json" ] || fail "a broken file was passed through" && continue ;;
    *turned*) want='23 37' ;;
    *) want='37 23' ;;
    esac
    same "$key.${f##*.}" "$f"
    equal "JSON of $f" "$(field "$key.json" width) $(field "$key.json" height)" "$want"
done
