# SPDX-License-Identifier: Apache-2.0
. "$CASE/common.inc"
# The copy in the corpus says the same as what it was made from, whatever its form.
mkdir photos
cp "$ROOT/tests/golden/images/jpeg-420.jpg" photos/
try() { # the configuration is on standard input
    rm -rf c out
    mkdir -p conf
    cat >conf/c.yaml
    capivara fetch --config conf/c.yaml --corpus c --print-config >before
    capivara run conf/c.yaml --corpus c 2>/dev/null
    (mkdir -p far && cd far && capivara fetch --config ../c/config.yaml --corpus c --print-config) >after
    sed -i 's/^base: .*//; s/^corpus: .*//; s|^  path: .*/photos$|  path: PHOTOS|' before
    cp after full
    sed -i 's/^base: .*//; s/^corpus: .*//; s|^  path: /.*/photos$|  path: PHOTOS|' after
    same before after
    capivara fetch --config c/config.yaml --corpus c --print-config | grep -q "^base: $PWD/conf" || fail "$(cat c/config.yaml)"
    cp c/config.yaml once
    capivara run conf/c.yaml --corpus c 2>/dev/null
    same once c/config.yaml
    capivara run --corpus c 2>/dev/null
    same once c/config.yaml
}
try <<END
# comment
input:
  path: ../photos # here
seed: 3
END
try <<END
---
# comment
input: {path: ../photos}
END
try <<END
{input: {path: ../photos}, seed: 4}
END
try <<END
  input:
    path: ../photos
  seed: 5
END
try <<END
seed: 6
base: .
input: {path: ../photos}
END
try <<END
base: "$PWD/conf"
input: {path: ../photos}
END
printf 'base: "\\x2e"\ninput: {path: ../photos}\n' >conf/c.yaml
rm -rf c
expect 2 "*write 'base: *' into it by hand*" capivara run conf/c.yaml --corpus c
