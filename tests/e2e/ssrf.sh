#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# URLs that lead into private networks, in every notation: each row says blocked_ip or
# bad_url, no connection is made. Shown twice: the program runs under a filter that kills
# it at connect(2), and a listener on every address of this machine sees nobody.
#
# Redirects into private networks cannot be shown here, where the first hop would have to
# be on the Internet: tests/unit/net/test_http.c does, with a name service of its own.
. "$(dirname "$0")/lib.sh"

rm -f port
"$HELPER" listen port >seen 2>&1 &
pids+=($!)
await port
p=$(cat port)

# wanted URL; %P: the listener's port
cat >plan <<'END'
blocked_ip http://127.0.0.1:%P/loopback
blocked_ip http://127.0.0.1/port-80
blocked_ip https://127.0.0.1:%P/tls
blocked_ip http://127.8.9.10:%P/all-of-127
blocked_ip http://0.0.0.0:%P/this-host
blocked_ip http://0:%P/zero
blocked_ip http://10.1.2.3/a
blocked_ip http://172.16.0.1/a
blocked_ip http://172.31.255.254/a
blocked_ip http://192.168.1.1:8080/router
blocked_ip http://100.64.0.1/carrier
blocked_ip http://169.254.169.254/latest/meta-data/
blocked_ip http://169.254.170.2/v2/credentials
blocked_ip http://100.100.100.200/latest/meta-data/
blocked_ip http://192.0.0.192/opc/v1/
blocked_ip http://198.18.0.1/benchmark
blocked_ip http://192.0.2.1/documentation
blocked_ip http://224.0.0.1/multicast
blocked_ip http://240.0.0.1/reserved
blocked_ip http://255.255.255.255/broadcast
blocked_ip http://2130706433:%P/decimal
blocked_ip http://017700000001:%P/octal
blocked_ip http://0x7f000001:%P/hex
blocked_ip http://0X7F000001:%P/upper
blocked_ip http://0177.0.0.1:%P/octal-part
blocked_ip http://0x7f.0x0.0x0.0x1:%P/hex-parts
blocked_ip http://127.1:%P/short
blocked_ip http://127.0.1:%P/three-parts
blocked_ip http://0x7f.1:%P/mixed
blocked_ip http://0251.0376.0251.0376/metadata-octal
blocked_ip http://2852039166/metadata-decimal
blocked_ip http://0xa9.254.0251.254/metadata-mixed
blocked_ip http://127.0.0.1.:%P/dot
blocked_ip http://[::1]:%P/six
blocked_ip http://[0:0:0:0:0:0:0:1]:%P/six-long
blocked_ip http://[::]:%P/any
blocked_ip http://[::ffff:127.0.0.1]:%P/mapped
blocked_ip http://[::ffff:7f00:1]:%P/mapped-hex
blocked_ip http://[::127.0.0.1]:%P/compatible
blocked_ip http://[::ffff:0:127.0.0.1]:%P/translated
blocked_ip http://[64:ff9b::127.0.0.1]:%P/nat64
blocked_ip http://[64:ff9b::a9fe:a9fe]/nat64-metadata
blocked_ip http://[64:ff9b:1::7f00:1]:%P/nat64-local
blocked_ip http://[2002:7f00:1::]:%P/6to4
blocked_ip http://[2002:c0a8:101::1]/6to4-private
blocked_ip http://[2001:0:7f00:1::1]:%P/teredo
blocked_ip http://[fe80::1]:%P/link-local
blocked_ip http://[fc00::1]:%P/unique-local
blocked_ip http://[fd00:ec2::254]/metadata-six
blocked_ip http://[fec0::1]/site-local
blocked_ip http://[ff02::1]/multicast-six
blocked_ip http://[2001:db8::1]/documentation-six
bad_url http://127.0.0.1:%P\@example.org/backslash
blocked_ip http://%31%32%37.0.0.1:%P/percent
bad_url http:127.0.0.1:%P/one-slash-too-few
blocked_ip http:///127.0.0.1:%P/one-slash-too-many
bad_url http://[fe80::1%25lo]:%P/zone
bad_url http://user@127.0.0.1:%P/user
bad_url http://example.org@127.0.0.1:%P/name-as-user
bad_url http://127.0.0.1:%P@example.org/address-as-user
bad_url http://example.org:80@127.0.0.1:%P/both
bad_url http://127.0.0.1:22/port
bad_url http://127.0.0.1:6379/port
bad_url http://127.0.0.1:0/port
bad_url http://127.0.0.1:99999/port
bad_url http://1.2.3.4.5/five-parts
bad_url http://256.256.256.256/too-large
bad_url http://127.0.0.08/no-octal
bad_url http://0x7f.0.0.0x100000001/overflow
bad_url http://4294967296/overflow
blocked_ip http://127.0.0.1/%0d%0aHost:%20x
bad_url http://[::1/open
bad_url http://[::1::2]/twice
bad_url http:///
bad_url http://
bad_url ftp://127.0.0.1:%P/a
bad_url file:///etc/passwd
bad_url gopher://127.0.0.1:%P/_a
bad_url dict://127.0.0.1:%P/a
bad_url data:image/png;base64,AAAA
bad_url //127.0.0.1:%P/a
bad_url javascript:alert(1)
END
sed "s/%P/$p/; s/^[a-z_]* //" plan >list.txt
# Circled digits, which some parsers take for plain ones.
printf 'http://\342\221\240\342\221\241\342\221\246.0.0.1:%s/circled\n' "$p" >>list.txt
echo "bad_url circled" >>plan
rows=$(($(wc -l <list.txt)))

say "$rows numeric hosts, with connect(2) forbidden"
got=0
"$HELPER" no-connect true || got=$?
[ $got -ne 77 ] || skip "no seccomp here"
run 0 "$HELPER" no-connect capivara-fetch --quiet --min-free 1M --corpus c --input list.txt
failures c >got.rows
equal samples "$(samples c)" 0
awk '{ print NR - 1, $1 }' plan >wanted.rows
diff wanted.rows got.rows >differ || fail "rows:
$(cat differ)
$(awk '/^>/ { print $2 }' differ | while read -r r; do sed -n "$((r + 1))p" list.txt; done)"
equal rows "$(wc -l <got.rows)" "$rows"

say "names of this machine"
printf 'http://localhost:%s/\nhttp://LOCALHOST.:%s/\n' "$p" "$p" >names.txt
fetch 0 --corpus names --input names.txt
failures names >got.rows
grep -vE ' (blocked_ip|bad_url)$' got.rows && fail "a name got through" || true
has got.rows "0 blocked_ip"

say "nobody came to the listener"
equal connections "$(wc -l <seen)" 0
# It does see those who come.
fetch 0 --corpus open --input names.txt --allow-private --retries 0 --accept-transient
[ -s seen ] || fail "the listener is blind"
