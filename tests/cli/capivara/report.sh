# SPDX-License-Identifier: Apache-2.0
. "$CASE/common.inc"
HELPER=${PATH%%:*}/tests/report/report-column
. "$ROOT/tests/report/corpus.inc"

# Not the page itself in a message: it is large.
has() { # FILE FIXED-STRING
    grep -qF -e "$2" "$1" || fail "$1 has no '$2'"
}

hasnt() { # FILE FIXED-STRING
    if grep -qF -e "$2" "$1"; then fail "$1 has '$2'"; fi
}

# Every element of a page, by name; what captions say must not be among them.
elements() { # FILE
    grep -o '<[a-zA-Z!/][^ >]*' "$1" | tr -d '</' | LC_ALL=C sort -u | tr '\n' ' '
}
KNOWN=' !doctype a article b body code dd details div dl dt fieldset figcaption figure footer form h1 h2 h3 head header html i img input label legend li line link main meta nav ol output p polyline rect script section span style summary svg table tbody td text th thead title tr ul '
is_page() { # FILE
    for e in $(elements "$1"); do
        case $KNOWN in *" $e "*) ;; *) fail "$1 has an element '$e'" ;; esac
    done
    [ "$(grep -c '<script>' "$1")" -eq 1 ] || fail "$1: scripts"
    [ "$(tail -n 1 "$1")" = '</html>' ] || fail "$1 is cut short"
    tr -d '\0\001-\010\013-\037\177' <"$1" | cmp -s - "$1" || fail "$1 has control characters"
    iconv -f UTF-8 -t UTF-8 "$1" >/dev/null || fail "$1 is no UTF-8"
    hasnt "$1" "$PWD"
    # Nothing is loaded: every source is a data URI.
    if grep -oE '(src|href)="[^"]*"' "$1" | grep -vE '="(data:image/|#)'; then fail "$1 loads something"; fi
}

# ---- a real run ----
make_input 25 10
capivara run corpus.yaml 2>/dev/null
capivara report out >said
[ "$(cat said)" != "" ] && [ -f report.html ] || fail 'no report.html'
is_page report.html
has report.html '<title>out · Capivara report</title>'
has report.html '25 samples with captions in English; 1 of 26 rows failed (3.8 %).'
has report.html '<code>not_image</code> <span class="muted">something else than an image</span>'
has report.html '<dt>fetch.image_size</dt><dd>8</dd>'
has report.html '>shards/train</a>'
has report.html 'Rows that failed'
[ "$(grep -c '<article class="card">' report.html)" -eq 24 ] || fail 'cards'
[ "$(grep -c 'src="data:image/jpeg;base64,' report.html)" -eq 24 ] || fail 'thumbnails'
[ "$(grep -c '<p class="url" dir="ltr">0[0-9]*.png</p>' report.html)" -eq 24 ] || fail 'where they are from'
hasnt report.html '<li><b>'

# The same bytes: again, elsewhere, by other paths, without the index; over what was there.
rm out/index.sqlite
echo old >again.html
capivara report out --quiet -o again.html
same report.html again.html
capivara report out/ -o - >again.html
same report.html again.html
(cd out && capivara report . --out ../again.html --quiet --parts all --seed 0 --samples 24)
same report.html again.html
[ -z "$(find . -name '.*.tmp')" ] || fail "left: $(find . -name '.*.tmp')"
capivara report out -o seed.html --seed 5 --quiet
cmp -s report.html seed.html && fail 'the seed changes nothing'
capivara report out -o none.html --samples 0 --quiet
hasnt none.html '<article class="card">'
capivara report out -o more.html --samples 1000 --quiet
[ "$(grep -c '<article class="card">' more.html)" -eq 25 ] || fail 'all of them'

# ---- trainings ----
mkdir -p run/first
cat >run/first/metrics.jsonl <<'END'
{"step":0,"validation":{"mean_recall":0.25,"pt":{"mean_recall":0.2},"xh":{"mean_recall":0.3}}}
{"step":10,"epoch":0.5,"loss":3.5,"text_accuracy":0.1,"image_accuracy":0.2,"lr":0.001,"logit_scale":14.5,"pairs":640,"tokens":9000,"broken":3}
{"step":20,"epoch":1,"loss":1.25,"text_accuracy":0.4,"image_accuracy":0.5,"lr":0.0005,"logit_scale":15,"pairs":1280,"tokens":18500,"broken":3}
{"step":20,"validation":{"mean_recall":0.5,"pt":{"mean_recall":0.45},"xh":{"mean_recall":0.55}}}
{"step":30,"epo
END
echo '{"step":20,"seconds":4,"samples_per_s":320,"tokens_per_s":4625,"memory_bytes":104857600}' >run/first/timings.jsonl
capivara report out --training run/first/ -o trained.html --quiet
is_page trained.html
has trained.html '<h3>first</h3>'
has trained.html '>Training</a>'
has trained.html '<dt>Loss</dt><dd><b>3.5 to 1.25</b>'
has trained.html '<dt>Best mean recall</dt><dd><b>0.5, step 20</b>'
has trained.html '<dt>Broken samples</dt><dd><b>3</b>'
has trained.html '<dt>Samples a second</dt><dd><b>320</b>'
has trained.html 'Portuguese: first 0.2, last 0.45, highest 0.45 at step 20'
has trained.html '<polyline class="k0" points="180.0,14.0 304.0,112.0 "/>'
has trained.html 'Memory: first 100 MiB, last 100 MiB, highest 100 MiB at step 20'
has trained.html 'Lines that could not be read: 1.'
hasnt report.html '<polyline'
expect 65 "*run*metrics.jsonl*" capivara report out --training run -o none.html

# ---- as far as it goes ----
capivara report out --parts 1-2 -o parts.html --quiet
has parts.html 'Only the parts that were asked for'
has parts.html '>16 samples with'
capivara report out/fetch -o column.html --quiet
has column.html '<h1>out/fetch</h1>'
cp -r out partial
for p in 00001 00002; do rm partial/fetch/$p.json; done
capivara report partial -o partial.html --quiet
has partial.html '<b>fetch</b>: 1 of 3 parts are done so far.'
rm partial/fetch/00000.tar.zst
capivara report partial -o gone.html --quiet
has gone.html 'not there any more'
has gone.html 'None is shown.'
# A training set alone: its samples are whole.
mkdir alone
cp -r out/shards alone/
capivara report alone -o alone.html --quiet
[ "$(grep -c 'src="data:image/jpeg;base64,' alone.html)" -eq 24 ] || fail 'alone'
# Nothing yet.
mkdir -p empty/fetch
cp out/fetch/settings.yaml empty/fetch/
expect 65 "*'empty': no part of it is finished yet*" capivara report empty
expect 65 "*no part of those asked for is finished*" capivara report out/fetch --parts 7
expect 65 "*no part of those asked for is finished*" capivara report out --parts 7,9
expect 65 "*no part of those asked for is finished*" capivara report alone --parts 1
expect 0 '' capivara report alone --parts 0 --quiet
expect 65 '*is neither a corpus nor a column*' capivara report photos
expect 65 "*'none' is not there*" capivara report none
expect 2 "*expected the folder of a corpus" capivara report corpus.yaml
expect 2 "*'--parts': expected all or a list*" capivara report out --parts 3-1
expect 2 "*no regular file*" capivara report out -o photos
expect 2 "*'--samples'*" capivara report out --samples 1001
expect 74 '*nowhere*' capivara report out -o nowhere/report.html
expect 65 '*00001.json*' sh -c 'cp -r out bad && echo "{}" >bad/fetch/00001.json && capivara report bad -o bad.html'
[ ! -f bad.html ] || fail 'a page about a damaged corpus'

# ---- translations beside their sources, and some that lag behind ----
many_corpus many 40
printf '9999\t{"captions-en":["the last"]}\n' | "$HELPER" --image picture.png many fetch 1
capivara report many --samples 100 -o many.html --quiet
is_page many.html
has many.html 'Portuguese <span class="muted">generated</span>'
[ "$(grep -c '<p lang="pt" dir="auto">' many.html)" -eq 480 ] || fail "pt: $(grep -c '<p lang="pt"' many.html)"
[ "$(grep -c '10 generated captions' many.html)" -eq 40 ] || fail 'generated'
has many.html 'Not yet in Portuguese.'
has many.html '>copied</span>'
# The flags of originals and generated ones are beside the captions they belong to.
grep -F 'o mesmo cachorro</p><span class="flag"' many.html | grep -qF '>copied</span>' || fail 'flag'
grep -F 'número 10 de 0</p>' many.html | grep -qF '>ratio</span> <span class="flag"' || fail 'flag 10'
has many.html '<span class="vh">similarity </span>0.300'
has many.html 'median 0.2'
has many.html 'lang="en" alt="a dog and 0 balls"'
has many.html 'translate-pt'

# What a part was made from has changed since.
make_stale() {
    sed -i 's/"inputs":\[\]/"inputs":[{"name":"fetch","sha256":"'"$(repeated 0 64)"'"}]/' many/translate-pt/00000.json
}
make_stale
capivara report many -o stale.html --quiet
has stale.html '1 part was made from what has changed since'

# ---- what strangers write ----
hostile_corpus hostile
capivara report hostile -o hostile.html --quiet
is_page hostile.html
[ "$(grep -c '<img ' hostile.html)" -eq 8 ] || fail 'pictures'
has hostile.html '&lt;script&gt;alert(1)&lt;/script&gt;'
has hostile.html '&lt;/style&gt;&lt;img src=x onerror=alert(2)&gt;'
has hostile.html '&quot;&gt;&lt;svg onload=alert(3)&gt;'
has hostile.html '&#39; onmouseover=&#39;alert(4)'
has hostile.html '&amp;lt;&amp;amp;&lt;!-- ]]&gt; --&gt;'
has hostile.html 'nul � escape �[31m delete �'
has hostile.html 'bytes �� and �� and ��� here'
has hostile.html '<p lang="ar" dir="auto">'
has hostile.html 'all 10,000 characters'
has hostile.html 'all 30,000 characters'
has hostile.html '10,000 more are left out.'
has hostile.html 'The JSON of 1 sample cannot be read.'
has hostile.html '&lt;script&gt;alert(7)'
has hostile.html '<dd>model</dd>'
hasnt hostile.html somebody
hasnt hostile.html 'no language'
hasnt hostile.html 'nor this'
hasnt hostile.html '7.000'
has hostile.html '&lt;script&gt;alert(6)'
has hostile.html 'Hindi'

# A picture that cannot be shown is said to be one.
echo 'no picture' >no.jpg
printf '1\t{"captions-en":["x"]}\n' | "$HELPER" --image no.jpg broken fetch 0
printf '1\t{"generated-captions-en":["x"]}\n' | "$HELPER" captions caption 0
capivara report broken -o broken.html --quiet
has broken.html 'class="picture none"'
capivara report captions -o captions.html --quiet
has captions.html 'no image'
capivara report --help | grep -q -e '--samples N'
capivara report --man | grep -q 'Also spelled \\-o'
