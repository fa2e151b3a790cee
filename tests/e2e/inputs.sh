#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The same twenty pictures through every form of input: the same samples, byte for byte
# where the form can say as much.
. "$(dirname "$0")/lib.sh"
command -v zstd >/dev/null || skip "no zstd"

draw 20
serve world
url_of() { sed "s|^http://127.0.0.1:1/|$url/|"; }

# One caption each; one that every format must quote, and one beyond ASCII.
cut -f 1,2 world/captions.tsv | tail -n +2 | url_of |
    sed '3s/$/, "so-called" \& more/; 5s/$/ \xf0\x9f\x90\xbe \xc3\xa9/' >plain.tsv
cut -f 1 plain.tsv >urls
cut -f 2 plain.tsv >texts

# ask NAME INPUT OPTIONS...: the corpus NAME
ask() { fetch 0 --corpus "$1" --input "$2" "${FAST[@]}" "${@:3}"; }
as_before() { # CORPUS REFERENCE
    wants "$1" ok 20
    equal "the tar of $1" "$(tar_of "$1")" "$(tar_of "$2")"
}
# The pictures alone, in order.
pictures() { unpack "$1" "$1.out"; (cd "$1.out" && sha256sum ./*.jpg | cut -d' ' -f1); }
captions() { (cd "$1.out" && for f in *.json; do field "$f" captions-en; done); }

say "tsv with a header is what the others are measured by"
{ printf 'url\tcaption\n'; cat plain.tsv; } >a.tsv
ask ref a.tsv --caption-col caption
wants ref ok 20
pictures ref >ref.pictures
captions ref >ref.captions
equal "a quoted caption" "$(sed -n 3p ref.captions | grep -c '\\"so-called\\"')" 1
equal pictures "$(sort -u ref.pictures | wc -l)" 20
for i in $(seq 20); do
    equal "digest of row $i" "$(field "ref.out/$(printf %09d $((i - 1))).json" sha256)" \
        "\"$(sha256sum "world/$(sed -n "${i}p" urls | sed "s|$url/||")" | cut -d' ' -f1)\""
done

say "tsv without a header, numbered columns; cc3m; cc12m"
ask numbered plain.tsv --url-col 1 --caption-col 2
as_before numbered ref
paste texts urls >cc3m.tsv
ask cc3m cc3m.tsv --input-format cc3m
as_before cc3m ref
ask cc12m plain.tsv --input-format cc12m
as_before cc12m ref
# A header where there is none takes a row away.
fetch 0 --corpus header --input plain.tsv "${FAST[@]}" --url-col 1 --caption-col 2 --header yes
equal "rows behind a header" "$(samples header)" 19

say "csv with quotes, line breaks and CRLF"
{ printf 'id,caption,url\r\n'
  i=0
  while IFS=$'\t' read -r u t; do
      printf '%d,"%s","%s"\r\n' $((i++)) "${t//\"/\"\"}" "$u"
  done <plain.tsv; } >a.csv
ask csv a.csv --caption-col caption
as_before csv ref

say "jsonl"
i=0
while IFS=$'\t' read -r u t; do
    printf '{"n": %d, "caption": "%s", "url": "%s"}\n' $((i++)) "${t//\"/\\\"}" "${u//\//\\/}"
done <plain.tsv >a.jsonl
ask jsonl a.jsonl --caption-col caption
as_before jsonl ref

say "txt has no captions"
cp urls a.txt
ask txt a.txt
pictures txt >got
same got ref.pictures
captions txt | sort -u >got
equal captions "$(cat got)" '[]'

say "each of them compressed"
for f in a.tsv a.csv a.jsonl a.txt; do
    gzip -kn $f
    zstd -qk $f
    for z in gz zst; do
        case $f in
        a.txt) ask "c.$f.$z" $f.$z && as_before "c.$f.$z" txt ;;
        *) ask "c.$f.$z" $f.$z --caption-col caption && as_before "c.$f.$z" ref ;;
        esac
    done
done
head -c 200 a.tsv.gz >cut.tsv.gz
fetch 65 --corpus cut --input cut.tsv.gz "${FAST[@]}" --caption-col caption
has err "'cut.tsv.gz'"

say "parts smaller than the list: the same samples, other keys"
ask parts a.tsv.zst --caption-col caption --rows-per-part 7
equal parts "$(records parts | wc -l)" 3
pictures parts >got
same got ref.pictures

say "five captions: tsv columns, and COCO, where annotations stand in any order"
sed "2,\$s|^http://127.0.0.1:1/|$url/|" world/captions.tsv >five.tsv
ask five five.tsv --caption-col caption_1,caption_2,caption_3,caption_4,caption_5 --root world
wants five ok 20
unpack five five.out
captions five >five.captions
equal "most captions" "$(awk -F'","' '{ print NF }' five.captions | sort -n | tail -n 1)" 5
sed "s|http://127.0.0.1:1/|$url/|" world/captions.json >captions.json
ask coco captions.json --input-format coco
pictures coco >got
same got ref.pictures
captions coco >got
same got five.captions
gzip -kn captions.json
ask coco.local captions.json.gz --input-format coco --root world
pictures coco.local >got
same got ref.pictures
captions coco.local >got
same got five.captions

say "a folder with captions beside the pictures"
mkdir folder
i=0
while read -r u; do
    n=$(printf %02d $i)
    cp "world/${u#"$url"/}" "folder/$n.${u##*.}"
    sed -n "$((i + 1))p" texts >"folder/$n.txt"
    i=$((i + 1))
done <urls
ask c.folder folder
pictures c.folder >got
same got ref.pictures
captions c.folder >got
same got ref.captions

say "a column of files under a root, and nothing outside of it"
{ printf 'file\tcaption\n'; sed "s|^$url/||" plain.tsv; } >files.tsv
ask files files.tsv --file-col file --caption-col caption --root world
pictures files >got
same got ref.pictures
captions files >got
same got ref.captions
echo "not an image of yours" >secret.jpg
printf '%s\n' file ../secret.jpg images/../../secret.jpg "$SCRATCH/secret.jpg" images/.. .. \
    images//00000.jpg ./images/00001.jpg images/none.jpg >escape.tsv
fetch 0 --corpus escape --input escape.tsv --file-col file --root world
wants escape bad_row 5 missing_file 1 ok 2
details escape >got
equal "what is said of them" "$(grep -c "not a path below the root" got)" 5

say "tars: plain, PAX and GNU, compressed, with txt, with json, in folders"
mkdir tars
(cd folder && tar --format=pax -cf ../tars/pax.tar --mtime=@1700000000.5 -- *)
(cd folder && tar --format=gnu -cf ../tars/gnu.tar -- *)
gzip -kn tars/gnu.tar
zstd -qk tars/gnu.tar
for t in pax.tar gnu.tar gnu.tar.gz gnu.tar.zst; do
    ask "$t" "tars/$t" --input-format webdataset
    pictures "$t" >got
    same got ref.pictures
    captions "$t" >got
    same got ref.captions
done
same "$(shards gnu.tar.gz)" "$(shards pax.tar)"

say "as img2dataset leaves them: jpg, txt and json, with its keys"
mkdir i2d
i=0
while IFS=$'\t' read -r u t; do
    n=$(printf %09d $i)
    cp folder/$(printf %02d $i).[jpw]* i2d/
    mv i2d/$(printf %02d $i).* "i2d/$n.${u##*.}"
    printf %s "$t" >"i2d/$n.txt"
    printf '{"caption": "%s", "url": "%s", "key": "%s", "status": "success", "error_message": null, "width": 9, "height": 9, "original_width": 640, "original_height": 480, "exif": "{}", "sha256": "%064d"}' \
        "${t//\"/\\\"}" "$u" "$n" 7 >"i2d/$n.json"
    i=$((i + 1))
done <plain.tsv
(cd i2d && tar --format=pax -cf ../tars/00000.tar -- *)
ask i2d tars/00000.tar
pictures i2d >got
same got ref.pictures
captions i2d >got
same got ref.captions
f=i2d.out/000000003.json
equal "the size it first had" "$(field $f original_width) $(field $f original_height)" "640 480"
equal "their digest" "$(field $f orig_sha256)" "\"$(printf %064d 7)\""
equal "their keys" "$(field $f status) $(field $f exif)" '"success" "{}"'
[ "$(field $f width)" != 9 ] || fail "the size is an old one: $(cat $f)"

say "a PNG shard of the reference: its keys are kept, whole"
mkdir reference
cp "$IMAGES/png-rgb.png" reference/cc_1.png
cat >reference/cc_1.json <<'END'
{"captions-en": ["a dog"], "captions-pt": ["um c\u00e3o"], "generated-captions-en": ["a dog on grass", "dog"],
 "generated-captions-pt": ["um cachorro"], "similarities-pt": [0.25, 31.5, 1e-3], "url": "x", "nested": {"a": [1, null, true]}}
END
(cd reference && tar -cf ../tars/reference.tar cc_1.png cc_1.json)
ask reference tars/reference.tar
unpack reference reference.out2
f=reference.out2/cc_1.json
[ -f reference.out2/cc_1.jpg ] || fail "no picture: $(ls reference.out2)"
for w in '"captions-en":["a dog"]' '"captions-pt":["um cão"]' '"similarities-pt":[0.25,31.5,0.001]' \
    '"generated-captions-en":["a dog on grass","dog"]' '"generated-captions-pt":["um cachorro"]' \
    '"nested":{"a":[1,null,true]}' '"width":412,"height":256'; do has $f "$w"; done
equal "how often captions-en" "$(grep -o '"captions-en"' $f | wc -l)" 1

say "our own shards, and what we export, are input again"
ask own.first a.tsv --caption-col caption --pass-through
run 0 capivara export --plain --output plain own.first/fetch
ask own.again "$(shards own.first)" --input-format webdataset
ask own.plain plain/00000.tar
for c in own.again own.plain; do
    pictures $c >got
    same got ref.pictures
    captions $c >got
    same got ref.captions
done
equal "tar of own.plain" "$(tar_of own.plain)" "$(tar_of own.again)"

say "many tars by braces, each a part; one key twice is one sample"
cp tars/gnu.tar tars/b0.tar
cp tars/pax.tar tars/b1.tar
tar --format=gnu -rf tars/b1.tar -C folder 00.txt
ask words 'tars/{b0.tar,b1.tar}'
equal parts "$(records words | wc -l)" 2
fetch 65 --corpus folder.of.tars --input tars
has err "'tars': no images in it; of tars the format is webdataset"
ask braces 'tars/b{0..1}.tar'
equal parts "$(records braces | wc -l)" 2
equal samples "$(samples braces)" 40

say "a tar that is cut off gives what is whole, and says so"
head -c $(($(stat -c %s tars/gnu.tar) / 2)) tars/gnu.tar >tars/cut.tar
fetch 0 --corpus salvage --input tars/cut.tar
has err "is cut off"
n=$(samples salvage)
[ "$n" -gt 5 ] && [ "$n" -lt 20 ] || fail "$n samples of half a tar"
pictures salvage >got
head -n "$n" ref.pictures | cmp -s - got || fail "salvaged pictures differ"
fetch 65 --corpus unsalvaged --input tars/cut.tar --no-salvage
has err "'tars/cut.tar'"
zstd -q tars/cut.tar -o tars/whole.tar.zst
head -c $(($(stat -c %s tars/gnu.tar.zst) / 2)) tars/gnu.tar.zst >tars/cut.tar.zst
fetch 0 --corpus salvage.zst --input tars/cut.tar.zst
has err "is cut off"

say "foreign tars whose pictures are none: each sample has its reason"
for t in pax.tar gnu.tar ustar.tar dot.tar unclosed.tar webdataset.tar.gz webdataset.tar.zst; do
    fetch 0 --corpus "foreign.$t" --input "$ROOT/tests/golden/foreign/$t"
    wants "foreign.$t" ok 0 not_image 2 no_image 1
done

say "bad rows have their line; bad inputs one line"
{ printf 'url\tcaption\n'; head -n 2 plain.tsv; echo "three	fields	here"; echo; sed -n 3p plain.tsv; } >bad.tsv
fetch 0 --corpus bad --input bad.tsv "${FAST[@]}" --caption-col caption
wants bad ok 3 bad_row 2
details bad >got
has got "line 4: expected 2 columns, found 3"
has got "line 5: "
printf '{"url": "%s"}\n{"url": 5}\n[1]\n{"url": \n' "$(head -n 1 urls)" >bad.jsonl
fetch 0 --corpus bad.jsonl.c --input bad.jsonl "${FAST[@]}"
wants bad.jsonl.c ok 1 bad_row 3
printf 'url,caption\n"%s",a\n"open,b\n%s,"c"d\n%s,e\n' "$(sed -n 1p urls)" "$(sed -n 2p urls)" \
    "$(sed -n 3p urls)" >bad.csv
fetch 0 --corpus bad.csv.c --input bad.csv "${FAST[@]}" --caption-col caption
failures bad.csv.c | grep -q bad_row || fail "a broken CSV went through"

one_line() { # PATTERN: the standard error is this line alone
    equal "lines: $(cat err)" "$(wc -l <err)" 1
    has err "$1"
}
fetch 65 --corpus x --input a.tsv --caption-col captoin
one_line "'a.tsv': no column 'captoin'"
has err "there are: 'url', 'caption'"
fetch 65 --corpus x --input a.tsv --url-col 7
one_line "'a.tsv'"
fetch 74 --corpus x --input none.tsv
one_line "'none.tsv'"
fetch 2 --corpus x
one_line "'--input'"
: >nothing.tsv
fetch 65 --corpus x --input nothing.tsv
one_line "'nothing.tsv'"
mkdir void
fetch 65 --corpus x --input void --input-format webdataset
one_line "'void'"
