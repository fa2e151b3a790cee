#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# capivara-eval: one set in all the forms that it may have gives one table; ranks, recall
# and classes are worked out again from similarities; what is broken is counted.
. "$(dirname "$0")/lib.sh"
[ -x "$BUILD/capivara-eval" ] || skip "$BUILD/capivara-eval is not there"

model=$ROOT/tests/golden/clip/base
evaluate() { run "$1" capivara eval --quiet --model "$model" "${@:2}"; }
# Of a JSON on one line: number KEY FILE, the first of that name.
number() { grep -o "\"$1\":[-0-9.]\{1,\}" "$2" | head -1 | cut -d: -f2; }

run 0 "$BUILD/demo/capivara-demo-scenes" --scenes 1 --heldout 40 --parallel captions \
    world
awk 'BEGIN { FS = OFS = "\t" }
     NR == FNR { n = split($1, p, "/"); if (FNR > 1) file[$7] = p[n]; next }
     FNR == 1 { print "file", "en", "pt", "xh", "hi"; next }
     $1 in file { print file[$1], $5, $6, $7, $8 }' world/heldout.tsv world/parallel.tsv >list.tsv
mkdir images
cut -f 1 list.tsv | tail -n +2 | sort -u | while read -r f; do cp "world/images/$f" images/; done

say "a list, by language; any threads and batches"
evaluate 0 --images images --list list.tsv --lang en,pt --lang xh --json one.json --ranks one.tsv
mv said table
equal lines "$(wc -l <table)" 6
equal images "$(number images one.json)" 40
for t in 1 2 7; do
    evaluate 0 --images images --list list.tsv --lang en,pt,xh --threads $t --batch $t \
        --json again.json --ranks again.tsv
    same said table
    same again.json one.json
    same again.tsv one.tsv
done
evaluate 0 --images images --list list.tsv --lang en,pt,xh --json -
same said one.json

say "recall is what the ranks say"
for lang in en pt xh; do
    awk -v lang=$lang 'BEGIN { FS = "\t" }
        $1 == lang { n[$2]++; a[$2] += $4 == 1; b[$2] += $4 <= 5; c[$2] += $4 <= 10 }
        function show(d) { return sprintf("%.6f %.6f %.6f", a[d] / n[d], b[d] / n[d], c[d] / n[d]) }
        END { print n["t2i"], show("t2i"), n["i2t"], show("i2t") }' one.tsv >wanted
    grep -o "\"$lang\":{\"t2i.*" one.json | head -1 |
        sed 's/},"mean":.*//; s/"mean":[0-9.]*//g' | grep -o '":[0-9][0-9.]*' |
        cut -c 3- | tr '\n' ' ' | sed 's/ $/\n/' >got
    same got wanted
done
equal texts "$(grep -c '^en.t2i' one.tsv)" "$(($(wc -l <list.tsv) - 1))"

say "a caption's rank is the place that a query shows"
for n in 1 20 40; do
    text=$(sed -n $((n + 1))p list.tsv | cut -f 2) file=$(sed -n $((n + 1))p list.tsv | cut -f 1)
    before=$(sed "1,$((n))!d" list.tsv | tail -n +2 | grep -c "^$file" || true)
    evaluate 0 --images images --list list.tsv --query "$text" --top 40 --json -
    equal "place of '$text'" \
        "$(grep -o "{\"rank\":[0-9]*,\"similarity\":[-0-9.]*,\"key\":\"$file\"" said |
            grep -o '[0-9]*' | head -1)" \
        "$(awk -F '\t' -v q="$file#$before" '$1 == "en" && $2 == "t2i" && $3 == q { print $4 }' one.tsv)"
done
evaluate 0 --images images --list list.tsv --query "a red circle" --top 3
equal hits "$(wc -l <said)" 3

say "the same captions in other forms"
evaluate 0 --images images --list list.tsv --lang en
mv said table
mkdir plain names beside
cp images/* beside/
while IFS=$'\t' read -r f en rest; do
    printf '%s\n' "$en" >>"plain/${f%.*}.txt"
    printf '%s\n' "$en" >>"beside/${f%.*}.txt"
done < <(tail -n +2 list.tsv)
cp images/* plain/
for f in plain/*.txt; do
    key=$(basename "$f" .txt)
    { printf '{"caption":"no","captions-en":['
      sed 's/.*/"&"/' "$f" | paste -sd, | tr -d '\n'
      printf ']}'; } >"names/$key.json"
done
cp images/* names/
for d in plain names; do
    mkdir -p wds-$d/test
    ls $d >members # sorted: LC_ALL=C
    head -n 40 members | tar -C $d -cf wds-$d/test/0.tar -T -
    tail -n +41 members | tar -C $d -czf wds-$d/test/1.tar.gz -T -
done
head=$(sed -n '1!p' table)
for form in "--set wds-plain" "--set wds-names" "--images beside" "--set beside" \
    "--set wds-names/test/0.tar --set wds-names/test/1.tar.gz" \
    "--images . --list world/heldout.json"; do
    evaluate 0 $form --lang en
    equal "$form" "$(sed -n '1!p' said)" "$head"
done
awk -F '\t' 'NR == 1 { print "image,words"; next } { print $1 ",\"" $2 "\"" }' list.tsv >en.csv
evaluate 0 --images images --list '{lang}.csv' --captions words --lang en
equal csv "$(sed -n '1!p' said)" "$head"
tail -n +2 list.tsv | cut -f 1,3 >pt.tsv
evaluate 0 --images images --list '{lang}.tsv' --file-col 1 --captions 2 --lang pt
evaluate 0 --images images --list '{lang}.tsv' --file-col 1 --captions 2 --lang pt
equal pt "$(tail -1 said)" "$(grep '^pt' <(capivara eval --quiet --model "$model" \
    --images images --list list.tsv --lang pt))"

say "which captions of an image"
evaluate 0 --images images --list list.tsv --originals 1
equal first "$(tail -1 said | awk '{ print $2 }')" 40
evaluate 0 --images images --list list.tsv --pick 0:1
mv said picked
evaluate 0 --images images --list list.tsv --originals 1
same said picked
evaluate 0 --images images --list list.tsv --pick 1::2 --ranks ranks
equal "every second" "$(grep -c 't2i.*#[024]	' ranks || true)" 0
grep -q 't2i.*#1	' ranks || fail "no second captions"

say "broken pictures are counted, left out with their captions, and named"
cp -r images some
cp list.tsv some.tsv
first=$(sed -n 2p list.tsv | cut -f 1)
head -c 100 "images/$first" >"some/$first"
second=$(cut -f 1 list.tsv | tail -n +2 | sort -u | sed -n 5p)
rm "some/$second"
evaluate 0 --images some --list some.tsv --json some.json
has said '38 images, 2 skipped'
has some.json "\"key\":\"$first\",\"why\":\"decode"
has some.json "\"key\":\"$second\",\"why\":\"cannot open 'some/$second'"
has err '2 of 40 images are skipped'
grep -v -e "^$first" -e "^$second" list.tsv >fewer.tsv
evaluate 0 --images images --list fewer.tsv
equal "without them" "$(tail -1 said)" \
    "$(capivara eval --quiet --model "$model" --images some --list some.tsv 2>/dev/null | tail -1)"
mkdir none
printf 'x' >none/a.jpg
evaluate 65 --images none
has err "none of 1 images can be used; 'a.jpg': not_image"

say "stored embeddings: twelve axes make all of a text's vector seen"
mkdir axes
npy() { # ONE-OF OF: a float16 array (1, OF); the first axis is twice as long
    local i
    printf '\223NUMPY\001\000\166\000'
    printf '%-117s\n' "{'descr': '<f2', 'fortran_order': False, 'shape': (1, $2), }"
    for i in $(seq 0 $(($2 - 1))); do
        if [ "$i" -ne "$1" ]; then
            printf '\000\000'
        elif [ "$i" -eq 0 ]; then
            printf '\000\100'
        else
            printf '\000\074'
        fi
    done
}
for i in 0 1 2 3 4 5 6 7 8 9 10 11; do
    k=$(printf %02d "$i")
    npy "$i" 12 >"axes/$k.clip.npy"
    printf '%d' $((i % 4)) >"axes/$k.cls"
    printf '{"captions-en":["a dog"]}' >"axes/$k.json"
done
(cd axes && tar -cf ../axes.tar --sort=name *)
vector() { # TEXT: a line for each axis, in their order
    evaluate 0 --set axes.tar --embeddings --query "$1" --top 12 --json -
    grep -o '"similarity":[-0-9.]*,"key":"[0-9]*"' said |
        sed 's/.*y":\([-0-9.]*\),.*"\([0-9]*\)"/\2 \1/' | sort | cut -d' ' -f 2
}
vector "A dog runs." >v
awk '{ s += $1 * $1 } END { exit !(NR == 12 && s > 0.99999 && s < 1.00001) }' v ||
    fail "a unit vector: $(cat v)"
npy 3 10 >axes/05.clip.npy
(cd axes && tar -cf ../bad.tar --sort=name *)
evaluate 65 --set bad.tar --embeddings
has err "'05.clip.npy' has 10 numbers, the model's embeddings have 12"
rm axes/05.clip.npy
(cd axes && tar -cf ../fewer.tar --sort=name *)
evaluate 0 --set fewer.tar --embeddings --json fewer.json
has fewer.json '"skipped":[{"key":"05","why":"no .clip.npy"}],"images":11'

say "classes, worked out from vectors"
mkdir -p wds/test
cp axes.tar wds/test/0.tar
printf 'dog\nred circle\nthe cat\nrei de roma\n' >wds/classnames.txt
printf 'a photo of a {c}.\n{} in a picture\n{c}\n' >wds/zeroshot_classification_templates.txt
evaluate 0 --set wds --embeddings --json classes.json --ranks classes.tsv
mv said table
: >prompts
while read -r name; do
    while read -r t; do
        t=${t//\{c\}/$name}
        vector "${t//\{\}/$name}" | paste -sd' ' >>prompts
    done <wds/zeroshot_classification_templates.txt
done <wds/classnames.txt
awk '{ c = int((NR - 1) / 3); for (k = 1; k <= 12; k++) v[c, k] += $k / 3 }
     END {
         for (c = 0; c < 4; c++) {
             s = 0
             for (k = 1; k <= 12; k++) s += v[c, k] ^ 2
             for (k = 1; k <= 12; k++) v[c, k] /= sqrt(s)
         }
         for (k = 1; k <= 12; k++) {
             r = 1
             own = (k - 1) % 4
             for (c = 0; c < 4; c++) r += v[c, k] > v[own, k]
             printf "en\tclass\t%02d\t%d\n", k - 1, r
         }
     }' prompts >wanted
tail -n +2 classes.tsv >got
same got wanted
equal top-1 "$(number top1 classes.json)" \
    "$(awk '$4 == 1 { n++ } END { printf "%.6f", n / NR }' wanted)"
equal top-5 "$(number top5 classes.json)" 1.000000
equal "mean per class" "$(number mean_per_class classes.json)" \
    "$(number top1 classes.json)" # of each class there are three

say "names and templates by language; classes that a language does not have"
cat >babel.json <<END
{"EN": [[0, 1, 2, 3], ["dog", "red circle", "the cat", "rei de roma"]], "PT": [[3, 1], ["rei", "capivara"]]}
END
evaluate 0 --set wds --embeddings --classnames babel.json --lang en,pt --json babel.json.out
equal en "$(sed -n 3p said)" "$(sed -n 3p table)"
has babel.json.out '"classes":2,"classes_with_images":2,"templates":3,"images":6,"images_of_other_classes":6'
evaluate 65 --set wds --embeddings --classnames babel.json --lang xh
has err "'babel.json': there is no language 'xh' in it"
echo '["{c}!"]' >t-en.json
cp wds/classnames.txt c-en.txt
evaluate 0 --set wds --embeddings --classnames c-{lang}.txt --templates t-{lang}.json
grep -q '^en  *4  *1 ' said || fail "one template: $(cat said)"
evaluate 0 --set wds --embeddings --parity
head -3 wds/classnames.txt >three.txt
evaluate 65 --set wds --embeddings --classnames three.txt
has err "'03' is of class 3, but there are names of 3 classes"
printf 'no name\n' >none.txt
evaluate 65 --set wds --embeddings --templates none.txt
has err "'none.txt': template 1: expected {c} or {} in 'no name'"

say "a folder for each class is the same as its tar"
mkdir -p tree/b-cat tree/b tree/a folder
i=0
for f in images/*; do
    class=$((i % 3))
    dir=$(printf 'a\nb\nb-cat\n' | sed -n $((class + 1))p)
    cp "$f" "tree/$dir/"
    key=$(printf '%03d' $i)
    cp "$f" "folder/$key.${f##*.}"
    echo $class >"folder/$key.cls"
    i=$((i + 1))
done
mkdir -p tarred/test
(cd folder && tar -cf ../tarred/test/0.tar --sort=name *)
printf 'a\nb\nb-cat\n' >tarred/classnames.txt
evaluate 0 --set tarred
mv said table
evaluate 0 --set tree --task classification
same said table
echo x >folder/000.cls
(cd folder && tar -cf ../tarred/test/0.tar --sort=name *)
evaluate 65 --set tarred
has err "'tarred/test/0.tar': '000.cls': expected the number of a class, from 0"

say "an adapter changes texts; both are named with their digests"
trained=$ROOT/tests/golden/clip-train
for a in "" "--adapter $trained/adapter-lora" "--adapter $trained/adapter-proj"; do
    run 0 capivara eval --quiet --model "$trained" $a --images images --query "a b c" --top 40 \
        --json -
    grep -o '"hits":.*' said
    grep -o '"adapter":[^,]*' said >>adapters
done >hits
equal "three different answers" "$(sort -u hits | wc -l)" 3
equal adapters "$(grep -c '"adapter":{"path":"' adapters)" 2

say "a packed set of ours"
serve world
sed "s|http://127.0.0.1:8080|$url|" world/heldout.tsv >urls.tsv
fetch 0 --corpus c --input urls.tsv --caption-col caption_1 --allow-private --per-host-rate 0 \
    --resize-mode no --skip-reencode --rows-per-part 16 --accept-transient
run 0 capivara-shard --quiet --min-free 1M --corpus c --name test
evaluate 0 --set c/shards/test --lang en
grep -q '^en  *40 ' said || fail "the packed set: $(cat said)"

say "mistakes"
evaluate 2 --set wds --images images
has err "either '--set', or '--images' and '--list'"
evaluate 2
has err "which images?"
run 2 capivara eval --set wds
has err "which model?"
evaluate 2 --set wds --embeddings --pick 5
has err "expected a slice such as"
evaluate 65 --set wds-names --lang pt
has err "no captions of language 'pt'"
evaluate 2 --set wds-plain --lang pt,en
has err "the captions of the set name no language"
evaluate 65 --images images --list list.tsv --lang sw
has err "'list.tsv': no column 'captions-sw'"
cut -f 2- list.tsv >nofile.tsv
evaluate 65 --images images --list nofile.tsv
has err "'nofile.tsv': no column 'file'"
evaluate 74 --images images --list nowhere.tsv
run 65 capivara eval --model nowhere --images images
evaluate 74 --set nowhere.tar
