#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The page in a browser: headless Chromium says nothing on its console about it, its script
# runs under its policy, nothing is wider than the window at any width, and what captions
# say is not executed. Where there is no Chromium that works this is skipped.
#
#   tests/report/browser.sh REPORT-COLUMN       with CAPIVARA_BUILD, by default build/
set -eu
HELPER=$(realpath "$1")
HERE=$(cd "$(dirname "$0")" && pwd)
BUILD=$(cd "${CAPIVARA_BUILD:-$HERE/../../build}" && pwd)
. "$HERE/corpus.inc"

browser=''
for b in chromium chromium-browser google-chrome; do
    [ -n "$browser" ] || browser=$(command -v $b || true)
done
[ -n "$browser" ] || { echo 'no chromium'; exit 77; }

scratch=$BUILD/report-scratch
rm -rf "$scratch"
mkdir -p "$scratch"
cd "$scratch"

fail() {
    echo "$*" >&2
    exit 1
}

# look PAGE WIDTH: the page as it stands after its scripts, to PAGE.dom; what the browser
# says, to PAGE.log. One retry: a browser that did not come up is not the page's fault.
look() {
    for attempt in 1 2; do
        timeout 60 "$browser" --headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage \
            --no-first-run --disable-background-networking --disable-component-update \
            --user-data-dir="$scratch/profile" --hide-scrollbars --window-size="$2,900" \
            --virtual-time-budget=4000 --enable-logging=stderr --dump-dom \
            "file://$scratch/$1" >"$1.dom" 2>"$1.log" </dev/null && [ -s "$1.dom" ] && return 0
    done
    return 1
}

console() { # PAGE: what the page, or the browser about it, wrote to the console
    grep ':CONSOLE' "$1.log" || true
}

# Does this browser work here, and would a message be seen, and a refusal by the policy?
cat >planted.html <<'END'
<!doctype html><html lang="en"><meta charset="utf-8"><title>before</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'unsafe-inline'">
<p style="color: red">x</p><script>document.title = 'after'; console.error('planted')</script></html>
END
look planted.html 800 && grep -q '<title>after' planted.html.dom ||
    { echo 'this chromium does not run here'; exit 77; }
console planted.html | grep -q planted || fail "a console message is not seen: $(cat planted.html.log)"
[ "$(console planted.html | wc -l)" -ge 2 ] || fail 'a refusal by the policy is not seen'

# A frame, because a window has a least width: it takes what the page in it reports as its
# title.
frame() { # PAGE WIDTH
    cat >frame.html <<END
<!doctype html><html lang="en"><meta charset="utf-8"><title>window=0</title>
<link rel="icon" href="data:,"><script>addEventListener('message', (e) => {
document.title = e.data; });</script><iframe src="$1" width="$2" height="900"
style="border: 0"></iframe></html>
END
    look frame.html 1600 || fail "$1: no answer"
}

# What is too wide, and what was executed, from a copy without the policy.
probe() { # PAGE COPY
    sed '/^<meta http-equiv="Content-Security-Policy"/d; s|^</body>$||; s|^</html>$||' "$1" >"$2"
    cat >>"$2" <<'END'
<script>
addEventListener('load', () => {
    const wide = [...document.querySelectorAll('body *')].filter((e) => {
        const r = e.getBoundingClientRect();
        const over = e.clientWidth > 0 && e.scrollWidth > e.clientWidth + 1 &&
            e instanceof HTMLElement && e.tagName !== 'INPUT';
        return r.width > 0 && (r.right > innerWidth + 1 || over) && !e.closest('.vh, .skip, thead');
    }).map((e) => e.tagName + '.' + e.className);
    const images = [...document.images];
    const visible = (what) => [...document.querySelectorAll(what)].filter(
        (e) => e.getClientRects().length).length;
    /* The key of the last card finds one card; a language that is not wanted goes. */
    const all = visible('.card'), find = document.getElementById('find');
    find.value = [...document.querySelectorAll('.card h3')].pop().textContent;
    find.dispatchEvent(new Event('input'));
    const found = visible('.card'), shown = document.getElementById('shown').value;
    find.value = '';
    find.dispatchEvent(new Event('input'));
    const box = document.querySelector('[data-show="en"]'), en = '.caption[data-lang="en"]';
    const before = visible(en);
    box.click();
    const tools = found === 1 && shown === '1 of ' + all + ' shown' && visible('.card') === all &&
        before > 0 && visible(en) === 0;
    box.click();
    parent.postMessage('window=' + innerWidth + ' page=' + document.documentElement.scrollWidth +
        ' wide=' + wide.length + ' ' + wide.slice(0, 3).join(' ') +
        ' images=' + images.filter((i) => i.complete && i.naturalWidth > 0).length + '/' +
        images.length + ' scripts=' + document.scripts.length +
        ' unnamed=' + images.filter((i) => !i.alt).length +
        ' twice=' + ([...document.querySelectorAll('[id]')].length -
            new Set([...document.querySelectorAll('[id]')].map((e) => e.id)).size) +
        ' tools=' + tools + ' lost=' + [...document.querySelectorAll('a[href^="#"]')].filter(
            (a) => !document.getElementById(a.getAttribute('href').slice(1))).length + ';', '*');
});
</script>
</body></html>
END
}

many_corpus many 12
printf '9999\t{"captions-en":["the last"]}\n' | "$HELPER" --image picture.png many fetch 1
hostile_corpus hostile
for c in many hostile; do
    "$BUILD/capivara" report $c -o $c.html --quiet
    probe $c.html $c-probe.html
    look $c.html 1400 || fail "$c.html: no answer"
    [ -z "$(console $c.html)" ] || fail "$c.html: $(console $c.html)"
    # The script shows the tools; so it ran, and its digest is the policy's.
    grep -q '<div id="tools" class="tools" role="search" aria-label="Samples">' $c.html.dom ||
        fail "$c.html: its script did not run"
    for width in 1400 800 360 320; do
        frame $c.html $width
        [ -z "$(console frame.html)" ] || fail "$c.html at $width: $(console frame.html)"
        frame $c-probe.html $width
        [ -z "$(console frame.html)" ] || fail "$c-probe.html: $(console frame.html)"
        said=$(grep -o '<title>window=[^<]*' frame.html.dom) || fail "$c at $width: no probe"
        echo "$c: ${said#<title>}"
        case $said in *"window=$width "*) ;; *) fail "$c: not $width wide: $said" ;; esac
        window=${said#*window=} window=${window%% *}
        page=${said#*page=} page=${page%% *}
        [ "$page" -le "$window" ] || fail "$c: the page is wider than its window: $said"
        case $said in
        *' wide=0 '*' unnamed=0 twice=0 tools=true lost=0;') ;;
        *) fail "$c at $width: $said" ;;
        esac
        case $said in *' scripts=2 '*) ;; *) fail "$c: a script from a file: $said" ;; esac
        images=${said#*images=} images=${images%% *}
        [ "${images%/*}" = "${images#*/}" ] || fail "$c: pictures that do not show: $said"
    done
done
cd /
rm -rf "$scratch"
